"""The stores below a root, told by their root ``zarr.json``; none is opened.

A store at ``a/b`` below the root is called ``a.b``. Looked at are directories down to `DEPTH` levels, but
none inside of a store or another Zarr hierarchy, and none whose name begins with a dot. Symbolic links are
followed to stores below the same root, not elsewhere, and not to directories that only hold stores.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from api.names import name_below_root
from softstore.errors import InvalidInputError, NotAStoreError, NotFoundError, SoftstoreError
from softstore.format import ROOT_METADATA
from softstore.local_files import LocalFiles
from softstore.metadata import parse_root
from softstore.storage import open_storage

DEPTH = 6
"""How deep below the root a store may lie."""

_log = logging.getLogger(__name__)


class Root:
    """A directory or ``s3://`` URL.

    Raises:
        InvalidInputError: it is a store itself, or a URL that is neither.
        NotFoundError: there is no such directory.
        StorageError: the storage does not answer.
    """

    def __init__(self, url: str) -> None:
        self._storage = open_storage(url)
        self._directory = (
            Path(self._storage.url).resolve() if isinstance(self._storage.backend, LocalFiles) else None
        )
        self._told: set[str] = set()
        if ROOT_METADATA in self._storage.children():
            raise InvalidInputError(f"{url} is a store itself: name it without --root.")

    @property
    def url(self) -> str:
        return self._storage.url

    def look(self) -> dict[str, str]:
        """URLs of the stores there are now, by name. One that only looks damaged is among them.

        Raises:
            StorageError: the storage does not answer.
        """
        found: dict[str, str] = {}
        for path in self._stores("", DEPTH):
            name, url = name_below_root(path), f"{self.url}/{path}"
            if name is None:
                self._tell(f"{url} is not served: its path gives no name of up to 64 letters, digits and _-.")
            elif name in found:
                self._tell(f"{url} is not served: {found[name]} already is, as {name}.")
            else:
                found[name] = url
        return found

    def _stores(self, above: str, depth: int) -> Iterator[str]:
        """Paths of stores below the directory ``above``."""
        for child in self._storage.children(above):
            if not child.endswith("/") or child.startswith("."):
                continue
            path = f"{above}/{child[:-1]}".lstrip("/")
            link = self._directory is not None and (self._directory / path).is_symlink()
            if link and not self._is_inside(path):
                continue
            if ROOT_METADATA in self._storage.children(path):
                if self._is_ours(path):
                    yield path
            elif depth > 1 and not link:
                yield from self._stores(path, depth - 1)

    def _is_inside(self, path: str) -> bool:
        assert self._directory is not None
        return (self._directory / path).resolve().is_relative_to(self._directory)

    def _is_ours(self, path: str) -> bool:
        """Corpora and others' Zarr lie beside stores; what cannot be told from a store is taken for one."""
        try:
            data = self._storage.get(f"{path}/{ROOT_METADATA}")
            return parse_root(data, f"{self.url}/{path}").kind == "soft_targets"
        except (NotAStoreError, NotFoundError):
            return False
        except SoftstoreError:
            return True

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            _log.warning("%s", message)
