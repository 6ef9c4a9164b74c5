"""A URL → bytes: local files, S3, HTTP(S) and memory behind one small face (on obstore).

Reads of remote objects are retried with exponential back-off by obstore and fail within
`RETRY_TIMEOUT`; nothing here retries what was read but is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store

from softstore.errors import InvalidInputError, StorageError
from softstore.errors import NotFoundError as SoftstoreNotFoundError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

RETRY_TIMEOUT = timedelta(seconds=60)
REQUEST_TIMEOUT = timedelta(seconds=30)

_RETRIES: RetryConfig = {"max_retries": 8, "retry_timeout": RETRY_TIMEOUT}
_memory: dict[str, MemoryStore] = {}


@dataclass(frozen=True, slots=True)
class Storage:
    """The objects below one URL. Paths are relative, with ``/`` between segments.

    Every method raises `softstore.errors.NotFoundError` for an object that is not there and
    `StorageError` for everything the storage itself refuses.
    """

    url: str
    backend: HTTPStore | LocalStore | MemoryStore | S3Store

    def get(self, path: str) -> bytes:
        """One whole object."""
        with self._errors("read", path):
            return bytes(obstore.get(self.backend, path).bytes())

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        """``length`` bytes of one object from ``start``; fewer if the object ends before."""
        with self._errors("read", path):
            return memoryview(obstore.get_range(self.backend, path, start=start, length=length))

    def size(self, path: str) -> int:
        """How many bytes one object has."""
        with self._errors("read", path):
            return int(obstore.head(self.backend, path)["size"])

    def put(self, path: str, data: bytes) -> None:
        """Write or replace one object, atomically."""
        with self._errors("write", path):
            obstore.put(self.backend, path, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> bool:
        """Write one object only if there is none yet; False if there is."""
        with self._errors("write", path):
            try:
                obstore.put(self.backend, path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def delete(self, path: str) -> None:
        with self._errors("delete", path):
            obstore.delete(self.backend, path)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(path, size in bytes) of every object below ``prefix``; not over HTTP."""
        with self._errors("list", prefix):
            for batch in obstore.list(self.backend, prefix or None):
                for meta in batch:
                    yield meta["path"], meta["size"]

    def flush(self, paths: list[str]) -> None:
        """Force these objects to the disk; object stores have done so when ``put`` returned."""
        if not isinstance(self.backend, LocalStore):
            return
        root = Path(self.url)
        for path in paths:
            for target in (root / path, (root / path).parent):
                descriptor = os.open(target, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    @contextmanager
    def _errors(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SoftstoreNotFoundError(f"There is no {path!r} in {self.url}.") from error
        except (BaseError, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise StorageError(f"Could not {verb} {path!r} in {self.url}: {reason}") from error


def open_storage(url: str | os.PathLike[str], *, token: str | None = None, writable: bool = False) -> Storage:
    """The storage behind a path or URL.

    Args:
        url: a local path, ``file://``, ``s3://bucket/prefix`` (credentials, region and endpoint from the
            usual AWS environment variables), ``http(s)://`` (read-only), or ``memory://name``
            (shared within this process).
        token: bearer token for ``http(s)://``.
        writable: create a local directory that does not exist yet.

    Raises:
        InvalidInputError: the scheme is not one of these, or HTTP was asked to be writable.
    """
    text = os.fspath(url)
    parts = urlsplit(text)
    if parts.scheme in ("", "file"):
        root = Path(parts.path if parts.scheme else text).absolute()
        if writable:
            root.mkdir(parents=True, exist_ok=True)
        if not root.is_dir():
            raise SoftstoreNotFoundError(f"There is no directory {text}.")
        return Storage(str(root), LocalStore(root))
    if parts.scheme == "memory":
        return Storage(text, _memory.setdefault(text, MemoryStore()))
    if parts.scheme == "s3":
        options: ClientConfig = {"timeout": REQUEST_TIMEOUT, "allow_http": True}
        return Storage(text, S3Store.from_url(text, client_options=options, retry_config=_RETRIES))
    if parts.scheme in ("http", "https"):
        if writable:
            raise InvalidInputError(f"{text} cannot be written: stores are read-only over HTTP.")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Storage(
            text.rstrip("/"),
            HTTPStore.from_url(
                text.rstrip("/"),
                client_options={
                    "timeout": REQUEST_TIMEOUT,
                    "allow_http": parts.scheme == "http",
                    "default_headers": headers,
                },
                retry_config=_RETRIES,
            ),
        )
    raise InvalidInputError(
        f"{text} is no URL softstore can open: use a path, file://, s3://, http(s):// or memory://."
    )
