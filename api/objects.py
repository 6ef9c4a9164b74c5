"""The objects of a store, open for reading: local files without waiting if their pages are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from starlette.concurrency import run_in_threadpool

from api.limits import PIECE_BYTES
from api.object_cards import Card, card_of_shard, card_of_whole, shard_of
from api.object_files import open_file
from softstore import Store
from softstore.errors import CorruptDataError
from softstore.local_files import LocalFiles
from softstore.sharding import sha256
from softstore.storage import Storage


class OpenObject(Protocol):
    """One version of an object."""

    @property
    def card(self) -> Card: ...

    async def read(self, start: int, length: int) -> bytes:
        """Bytes that are there; fewer if the object is not what its card says."""
        ...


async def open_object(store: Store, path: str, *, look: bool) -> OpenObject:
    """The object at ``path``, which has none but plain segments.

    Args:
        look: whether to ask a remote storage for what the manifest vouches for.

    Raises:
        NotFoundError: there is none, or it is a link that leads out of the store.
    """
    if isinstance(store.frames.storage.backend, LocalFiles):
        return await open_file(store, path)
    return await run_in_threadpool(_open_remote, store, path, look)


async def pieces(opened: OpenObject, start: int, length: int) -> AsyncIterator[bytes]:
    """A span of an object in pieces that fit into memory.

    Raises:
        CorruptDataError: it is shorter than it was.
    """
    for offset in range(start, start + length, PIECE_BYTES):
        yield await piece(opened, offset, min(PIECE_BYTES, start + length - offset))


async def piece(opened: OpenObject, start: int, length: int) -> bytes:
    """A span at once; raises as `pieces`."""
    found = await opened.read(start, length)
    if len(found) != length:
        raise CorruptDataError(f"{opened.card.path} changed while it was read: read it again.")
    return found


@dataclass(frozen=True, slots=True)
class _RemoteObject:
    """An object that every read asks the storage for."""

    card: Card
    storage: Storage

    async def read(self, start: int, length: int) -> bytes:
        return await run_in_threadpool(self._get, start, length)

    def _get(self, start: int, length: int) -> bytes:
        return bytes(self.storage.get_range(self.card.path, start, length))


@dataclass(frozen=True, slots=True)
class _HeldObject:
    """A small object, read already."""

    card: Card
    data: bytes

    async def read(self, start: int, length: int) -> bytes:
        return self.data[start : start + length]


def _open_remote(store: Store, path: str, look: bool) -> OpenObject:
    storage = store.frames.storage
    shard = shard_of(store, path)
    if shard is None:
        data = storage.get(path)
        return _HeldObject(card_of_whole(path, len(data), sha256(data)), data)
    entry = store.frames.lookup.objects_of(shard).get(path)
    size = storage.size(path) if look or entry is None else entry.size
    return _RemoteObject(card_of_shard(path, size, entry), storage)
