"""A store's objects in local files: kept open for a moment, and read where no disk is to be waited for."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path
from time import monotonic
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from api.limits import PIECE_BYTES
from api.object_cards import Card, card_of_shard, card_of_whole, shard_of
from softstore import Store
from softstore.errors import NotFoundError, StorageError

_OPEN = 128
"""Files kept open of each store."""

_FRESH_SECONDS = 1.0
"""How long an open file is believed to be the one at its path."""

_NOW: int | None = getattr(os, "RWF_NOWAIT", None)
"""The flag of Linux for reads that fail rather than wait for a disk."""

_AT_HAND_BYTES = 2 * 1024 * 1024
"""Copying more at once would hold up others, and then the way to a thread is not what takes the time."""


class _Scratch(threading.local):
    """Where an event loop reads to; other threads of this process may have one, too."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(_AT_HAND_BYTES))


_scratch = _Scratch()


class OpenFile:
    """A regular file, closed when nobody holds it: a thread may still read when its request is gone."""

    __slots__ = ("card", "descriptor", "fresh_until", "status")

    card: Card
    fresh_until: float

    def __init__(self, file: str) -> None:
        self.descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.status = os.fstat(self.descriptor)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)

    def at_hand(self, start: int, length: int) -> bytes | None:
        """Bytes that are in memory; None if they are not, or too many."""
        if _NOW is None or length > _AT_HAND_BYTES:
            return None
        into = _scratch.memory[:length]
        try:
            if os.preadv(self.descriptor, (into,), start, _NOW) != length:
                return None
        except OSError:
            return None  # or a file system that cannot tell; if reading fails, a thread says so
        # As bytes, which uvloop writes in half the time that other buffers take it.
        return bytes(into)

    async def read(self, start: int, length: int) -> bytes:
        """Bytes that are there; fewer if the file has become shorter."""
        found = self.at_hand(start, length)
        if found is not None:
            return found
        return await run_in_threadpool(os.pread, self.descriptor, length, start)

    def digest(self) -> str:
        """SHA-256 of all of it."""
        digest = hashlib.sha256()
        for start in range(0, self.status.st_size, PIECE_BYTES):
            digest.update(os.pread(self.descriptor, PIECE_BYTES, start))
        return digest.hexdigest()


_open: WeakKeyDictionary[Store, dict[str, OpenFile]] = WeakKeyDictionary()


def file_at_hand(store: Store, path: str) -> OpenFile | None:
    """The file at ``path``, if it was opened within the last second."""
    known = _open.get(store)
    found = known.get(path) if known else None
    return found if found is not None and found.fresh_until > monotonic() else None


async def open_file(store: Store, path: str) -> OpenFile:
    """The file at ``path``, as it was there within the last second.

    Raises:
        NotFoundError: there is none, or it is a link that leads out of the store.
        StorageError: the system does not open it.
    """
    fresh = file_at_hand(store, path)
    if fresh is not None:
        return fresh
    known = _open.setdefault(store, {})
    found = known.get(path)
    try:
        opened = OpenFile(f"{store.url}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        known.pop(path, None)
        raise _not_found(path) from None
    except OSError as error:
        raise StorageError(f"Could not open {path!r} in {store.url}: {error.strerror}.") from error
    if found is not None and _version(found) == _version(opened):
        opened.card = found.card
    else:
        opened.card = await run_in_threadpool(_card, store, path, opened)
    opened.fresh_until = monotonic() + _FRESH_SECONDS
    if len(known) >= _OPEN:
        known.clear()
    known[path] = opened
    return opened


def _version(file: OpenFile) -> tuple[int, int, int, int]:
    status = file.status
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _card(store: Store, path: str, opened: OpenFile) -> Card:
    root = Path(store.url).resolve()
    target = (root / path).resolve()
    size = opened.status.st_size
    if not stat.S_ISREG(opened.status.st_mode) or not target.is_relative_to(root):
        raise _not_found(path)
    shard = shard_of(store, path)
    if shard is None:
        return card_of_whole(path, size, opened.digest())
    return card_of_shard(path, size, store.frames.lookup.objects_of(shard).get(path))


def _not_found(path: str) -> NotFoundError:
    return NotFoundError(f"There is no object {path!r}.")
