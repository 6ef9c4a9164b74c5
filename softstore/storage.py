"""A URL → bytes: local files, S3, HTTP(S) and memory behind one small face."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError

from softstore.errors import InvalidInputError, NotFoundError, StorageError
from softstore.local_files import LocalFiles
from softstore.memory_objects import MemoryObjects
from softstore.remote_objects import RemoteObjects, Retries

__all__ = ["Retries", "Storage", "open_storage"]

_DEFAULT_RETRIES = Retries()

_memory: dict[str, MemoryObjects] = {}

TOKEN_VARIABLE = "SOFTSTORE_TOKEN"
"""The environment variable that holds the bearer token for web servers."""

_SERVED_STORE = re.compile(r"/v1/stores/[^/]+$")
"""How the URL of a store ends in `softstore serve`; its objects lie below it."""


class Backend(Protocol):
    """What a kind of storage can do. Raises FileNotFoundError, and OSError for all that is refused."""

    def get(self, path: str) -> bytes: ...
    def get_range(self, path: str, start: int, length: int) -> memoryview: ...
    def size(self, path: str) -> int: ...
    def put(self, path: str, data: bytes) -> None: ...
    def create(self, path: str, data: bytes) -> bool: ...
    def exchange(self, path: str, before: bytes, after: bytes) -> bool: ...
    def move(self, path: str, target: str) -> None: ...
    def delete(self, path: str) -> None: ...
    def walk(self, prefix: str) -> Iterator[tuple[str, int]]: ...
    def children(self, prefix: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Storage:
    """The objects below one URL. Paths are relative, with ``/`` between segments.

    Safe to use from several threads, and to pickle to another process, where it is opened anew (``memory://``
    is not: it raises InvalidInputError). A forked child may use local files; other storages only if the
    parent had not used any before, else they raise StorageError.

    Every method raises `NotFoundError` for an object that is not there, `StorageError` for everything the
    storage itself refuses, and InvalidInputError for a path with empty, ``.`` or ``..`` segments.
    """

    url: str
    backend: Backend = field(repr=False)
    token: str | None = field(default=None, repr=False)
    retries: Retries = _DEFAULT_RETRIES

    def get(self, path: str) -> bytes:
        """One whole object."""
        with self._errors("read", path):
            return self.backend.get(path)

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        """``length`` bytes of one object from ``start``; fewer, or none, if the object ends before."""
        with self._errors("read", path):
            return self.backend.get_range(path, start, length)

    def size(self, path: str) -> int:
        """How many bytes one object has."""
        with self._errors("read", path):
            return self.backend.size(path)

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.size(path)
        except NotFoundError:
            return False
        return True

    def put(self, path: str, data: bytes) -> None:
        """Write or replace one object: readers see the old one or the new one, whole."""
        with self._errors("write", path):
            self.backend.put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write one object only if there is none yet; False if there is.

        Of several writers one is told True. On S3 none may be, if the answer to a write that succeeded was
        lost and the retry found the object there.
        """
        with self._errors("write", path):
            return self.backend.create(path, data)

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        """Replace one object only if it is still ``before``; False if it is not, or not there.

        On S3, False may also mean that a write succeeded whose answer was lost: look before trying again.
        """
        with self._errors("write", path):
            return self.backend.exchange(path, before, after)

    def move(self, path: str, target: str) -> None:
        """Give one object another path, in place of what may lie there; readers see either, whole."""
        with self._errors("move", path):
            self.backend.move(path, target)

    def delete(self, path: str) -> None:
        """Remove one object; nothing happens if there is none."""
        with self._errors("delete", path):
            self.backend.delete(path)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(path, size in bytes) of every object below the directory ``prefix``; not over HTTP."""
        with self._errors("list", prefix):
            yield from self.backend.walk(prefix)

    def children(self, prefix: str = "") -> list[str]:
        """Names directly below the directory ``prefix``, those of directories with a ``/``; not over HTTP."""
        with self._errors("list", prefix):
            return sorted(self.backend.children(prefix))

    @contextmanager
    def _errors(self, verb: str, path: str) -> Iterator[None]:
        if "\0" in path or (path and not {"", ".", ".."}.isdisjoint(path.split("/"))):
            raise InvalidInputError(f"{path!r} is no path of an object in {self.url}: name it from the top.")
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no {path!r} in {self.url}.") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"Could not {verb} {path!r} in {self.url}: {reason}.") from error

    def __reduce__(self) -> tuple[Callable[[], Storage], tuple[()]]:
        if isinstance(self.backend, MemoryObjects):
            raise InvalidInputError(
                f"{self.url} lives in one process and cannot be sent to another: use a path or s3://."
            )
        return partial(open_storage, self.url, token=self.token, retries=self.retries), ()


def open_storage(
    url: str | os.PathLike[str],
    *,
    token: str | None = None,
    writable: bool = False,
    retries: Retries = _DEFAULT_RETRIES,
) -> Storage:
    """The storage behind a path or URL. Nothing is asked of a remote one yet.

    Args:
        url: a local path, ``file:///path``, ``s3://bucket/prefix`` (credentials, region and endpoint from the
            usual AWS environment variables), ``http(s)://`` (read-only; of a service also the store's own
            ``https://host/v1/stores/NAME``), or ``memory://name`` (shared within this process).
        token: bearer token for ``http(s)://``; else that of the environment variable ``SOFTSTORE_TOKEN``.
        writable: create a local directory that does not exist yet.
        retries: of S3 and HTTP.

    Raises:
        InvalidInputError: the URL is none of these, holds a password, or HTTP was asked to be writable.
        NotFoundError: there is no such directory.
    """
    text = os.fspath(url)
    if re.match(r"\w+://[^/]*@|(s3|https?)://.*[?#]", text):
        raise InvalidInputError(
            f"A URL beginning with {text.partition(':')[0]}:// takes no user, password, query or fragment: "
            "leave them out; a token goes to token= or SOFTSTORE_TOKEN."
        )
    try:
        parts = urlsplit(text)
        if parts.scheme in ("", "file"):
            return _local(text if not parts.scheme else _file_path(text), writable)
        if parts.scheme == "memory":
            return Storage(text, _memory.setdefault(text, MemoryObjects()))
        if parts.scheme in ("s3", "http", "https"):
            if not parts.hostname:
                raise ValueError("it names no bucket or host")
            if writable and parts.scheme != "s3":
                raise InvalidInputError(f"{text} cannot be written: stores are read-only over HTTP.")
            root = text.rstrip("/")
            if parts.scheme == "s3":
                return Storage(root, RemoteObjects(root, None, retries), None, retries)
            if _SERVED_STORE.search(root):
                root += "/objects"
            token = token or os.environ.get(TOKEN_VARIABLE)
            return Storage(root, RemoteObjects(root, token, retries), token, retries)
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidInputError(f"{text} is no URL softstore can open: {reason}.") from error
    raise InvalidInputError(
        f"{text} is no URL softstore can open: use a path, file://, s3://, http(s):// or memory://."
    )


def _local(path: str, writable: bool) -> Storage:
    root = Path(path).absolute()
    if root.exists() and not root.is_dir():
        raise InvalidInputError(f"{path} is a file; a store or corpus is a directory.")
    if writable:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"Could not make the directory {path}: {error.strerror}.") from error
    if not root.is_dir():
        raise NotFoundError(f"There is no directory {path}.")
    return Storage(str(root), LocalFiles(root))


def _file_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ValueError("a file:// URL names no host; write file:///path")
    return unquote(parts.path)
