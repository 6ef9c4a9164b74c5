"""A URL → bytes: local files, S3, HTTP(S) and memory behind one small face (on obstore).

Reads of remote objects are retried with exponential back-off by obstore and fail within a bounded time;
nothing here retries what was read but is wrong. A write has reached the disk when it returns.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store

from softstore.errors import InvalidInputError, StorageError
from softstore.errors import NotFoundError as SoftstoreNotFoundError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CONNECT_TIMEOUT = timedelta(seconds=10)
REQUEST_TIMEOUT = timedelta(minutes=5)
"""Of one request with its whole body, which may be a hundred megabytes over a slow line."""

RETRY_TIMEOUT = timedelta(seconds=60)

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

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.size(path)
        except SoftstoreNotFoundError:
            return False
        return True

    def put(self, path: str, data: bytes) -> None:
        """Write or replace one object, atomically."""
        with self._errors("write", path):
            if isinstance(self.backend, LocalStore):
                _write_file(Path(self.url), path, data, replace=True)
            else:
                obstore.put(self.backend, path, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> bool:
        """Write one object only if there is none yet; False if there is."""
        with self._errors("write", path):
            try:
                if isinstance(self.backend, LocalStore):
                    _write_file(Path(self.url), path, data, replace=False)
                else:
                    obstore.put(self.backend, path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, FileExistsError):
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

    @contextmanager
    def _errors(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SoftstoreNotFoundError(f"There is no {path!r} in {self.url}.") from error
        except (BaseError, OSError, ValueError) as error:
            raise StorageError(f"Could not {verb} {path!r} in {self.url}: {_brief(error)}") from error


def open_storage(url: str | os.PathLike[str], *, token: str | None = None, writable: bool = False) -> Storage:
    """The storage behind a path or URL.

    Args:
        url: a local path, ``file:///path``, ``s3://bucket/prefix`` (credentials, region and endpoint from the
            usual AWS environment variables), ``http(s)://`` (read-only), or ``memory://name``
            (shared within this process).
        token: bearer token for ``http(s)://``.
        writable: create a local directory that does not exist yet.

    Raises:
        InvalidInputError: the URL is none of these, or HTTP was asked to be writable.
        NotFoundError: there is no such directory.
    """
    text = os.fspath(url)
    try:
        parts = urlsplit(text)
        if parts.scheme in ("", "file"):
            return _local(text if not parts.scheme else _file_path(text), writable)
        if parts.scheme == "memory":
            return Storage(text, _memory.setdefault(text, MemoryStore()))
        if parts.scheme == "s3":
            return Storage(text, S3Store.from_url(text, client_options=_client(), retry_config=_RETRIES))
        if parts.scheme in ("http", "https") and not writable:
            root = text.rstrip("/")
            return Storage(
                root, HTTPStore.from_url(root, client_options=_client(token), retry_config=_RETRIES)
            )
    except (BaseError, ValueError) as error:
        raise InvalidInputError(f"{text} is no URL softstore can open: {_brief(error)}") from error
    if parts.scheme in ("http", "https"):
        raise InvalidInputError(f"{text} cannot be written: stores are read-only over HTTP.")
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
        raise SoftstoreNotFoundError(f"There is no directory {path}.")
    return Storage(str(root), LocalStore(root))


def _file_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ValueError("a file:// URL names no host; write file:///path")
    return unquote(parts.path)


def _client(token: str | None = None) -> ClientConfig:
    options: ClientConfig = {
        "connect_timeout": CONNECT_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "allow_http": True,
    }
    if token:
        options["default_headers"] = {"Authorization": f"Bearer {token}"}
    return options


def _write_file(root: Path, path: str, data: bytes, *, replace: bool) -> None:
    """A file that is there whole and on the disk, or not at all.

    obstore makes a new file visible before its bytes have reached the disk, which a power cut could expose.
    Names that end in ``#`` and digits are staged files to obstore too: it never lists them.

    Raises:
        FileExistsError: it is there already, and was not to be replaced.
    """
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f"{target.name}#{secrets.randbits(63)}")
    try:
        with staged.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            staged.replace(target)
        else:
            target.hardlink_to(staged)
    finally:
        staged.unlink(missing_ok=True)
    for directory in (target.parent, *target.parent.parents):
        _sync_directory(directory)
        if directory == root:
            break


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _brief(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") + "."
