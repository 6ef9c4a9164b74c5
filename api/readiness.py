"""Whether a store can be read at this moment: its root, and one small piece of something it has published."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from api.catalogue import ServedStore
from softstore import Store
from softstore.errors import CorruptDataError, StorageError
from softstore.parts import read_attributes

READ_SECONDS = 2.0
"""Longer than this nobody waits for a store."""

_reads: WeakKeyDictionary[ServedStore, asyncio.Task[None]] = WeakKeyDictionary()


async def check_readable(served: ServedStore) -> None:
    """Read from a store; whoever asks while a read is under way waits for that one, so that none pile up.

    Raises:
        SoftstoreError: it cannot be read, or not within `READ_SECONDS`.
    """
    read = _reads.get(served)
    if read is None or read.done():
        read = _reads[served] = asyncio.ensure_future(run_in_threadpool(_read, served))
        read.add_done_callback(_noticed)
    done, _ = await asyncio.wait([read], timeout=READ_SECONDS)
    if not done:
        raise StorageError(f"{served.url} could not be read within {READ_SECONDS:g} seconds.")
    read.result()


def _read(served: ServedStore) -> None:
    store = served.current()
    storage = store.frames.storage
    read_attributes(storage)
    shard = _published_shard(store)
    if shard is None:
        return
    path, found = min(store.frames.lookup.objects_of(shard).items(), key=lambda item: item[1].size)
    if len(storage.get_range(path, found.size - 1, 1)) != 1:
        raise CorruptDataError(f"{path} in {storage.url} is truncated.")


def _published_shard(store: Store) -> int | None:
    """Some shard, told without reading the manifest where there is an index of ids."""
    if store.attributes.id_index is not None and store.attributes.id_index.shards:
        return store.attributes.id_index.shards[0][0]
    return next(iter(store.manifest.shards), None)


def _noticed(read: asyncio.Task[None]) -> None:
    """Nobody may be waiting for it any more; without this its error would be complained about."""
    if not read.cancelled():
        read.exception()
