"""Frames at rest: tracks on one frame axis plus a manifest, read from any storage.

Both soft-target stores and corpora are this. A span of frames costs one range request per track; shard
indexes are kept once they were fetched; everything read is checked against its crc32c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore.codecs import TrackSpec
from softstore.errors import CorruptDataError, NotFoundError
from softstore.format import shard_object
from softstore.lookup import Lookup
from softstore.manifest import Manifest, Piece, ShardObject
from softstore.page_cache import PageCache
from softstore.parts import iter_whole, read_attributes, read_manifest
from softstore.recent import Recent
from softstore.remote_objects import RemoteObjects
from softstore.sharding import ShardIndex, index_bytes
from softstore.storage import Storage

_REMOTE_THREADS = 4
_INDEXES = 16_384
"""Shard indexes kept: 16 bytes a chunk, 32 MiB of shards of the usual size."""

Rows = Callable[[], NDArray[np.generic]]
"""Makes rows of bytes that have come."""


class Frames:
    """Everything below one URL, as published when it was opened.

    Nothing but the root is read at first. Of a store with an index of ids, the manifest is read only if all
    of it is asked for; of others, when anything of it is.

    Threads may share one. It travels to another process without what it has cached,
    and is as safe after a fork as its storage.

    Args:
        cache: for what is read of frames, if the storage is remote.
    """

    def __init__(self, storage: Storage, cache: PageCache | None = None) -> None:
        self.storage = storage
        self.cache = cache if isinstance(storage.backend, RemoteObjects) else None
        self.attributes = read_attributes(storage)
        self._objects: Mapping[str, ShardObject] | None = None
        self._indexes: Recent[str, ShardIndex] = Recent(_INDEXES)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("storage", "cache", "attributes", "_objects", "_indexes")
        return {name: self.__dict__[name] for name in kept}

    def only(self, objects: Mapping[str, ShardObject]) -> Frames:
        """The same frames for one who knows these objects already, and never asks the manifest."""
        known = copy(self)
        known._objects = objects
        known._indexes = Recent(_INDEXES)
        return known

    @cached_property
    def manifest(self) -> Manifest:
        """All published parts.

        Raises:
            CorruptDataError: a part is damaged, or one that a finished run had published is gone.
        """
        return read_manifest(self.storage, self.attributes)

    @property
    def lookup(self) -> Manifest | Lookup:
        """What finds single utterances: the manifest if it is at hand or there is no index of ids."""
        if self.attributes.id_index is None or "manifest" in self.__dict__:
            return self.manifest
        return self._lookup

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.storage, self.attributes)

    def pieces(self, columns: Sequence[str]) -> Iterator[Piece]:
        """All of the manifest a piece at a time, from memory if it is there.

        Args:
            columns: at least these, where there are any such.

        Raises:
            CorruptDataError: as `manifest`.
        """
        if "manifest" in self.__dict__:
            yield self.manifest.piece
        else:
            yield from map(Piece.of, iter_whole(self.storage, self.attributes, columns))

    @property
    def is_remote(self) -> bool:
        """Whether reading is waiting, mostly."""
        return isinstance(self.storage.backend, RemoteObjects)

    @property
    def read_threads(self) -> int:
        """How many threads should read ahead: remote storages keep each waiting, local files keep one busy.

        More of them only contend for the interpreter's lock: chunks are small.
        """
        return _REMOTE_THREADS if self.is_remote else 1

    def read(self, track: str, first_frame: int, num_frames: int) -> NDArray[np.generic]:
        """Rows of one track: shape (frames,) or (frames, width), of the track's dtype.

        Costs one request, and one more for the first span of each shard.

        Args:
            first_frame: on the frame axis of the whole store; the span must lie inside one shard. Of a
                ragged track, its first row, and rows are read.

        Raises:
            NotFoundError: the store has no such track.
            CorruptDataError: the object is missing, truncated or damaged.
        """
        return self.fetch(track, first_frame, num_frames)()

    def fetch(self, track: str, first_frame: int, num_frames: int) -> Rows:
        """What makes the rows that `read` gives of bytes that are here then.

        To wait for a storage, many threads are of use; of those that decompress, one keeps the others from
        the interpreter's lock.

        Raises:
            NotFoundError, CorruptDataError: as `read`; what is damaged shows when rows are made.
        """
        spec = self.attributes.tracks.get(track)
        if spec is None:
            raise NotFoundError(
                f"{self.storage.url} has no {track} track; it has {', '.join(self.attributes.tracks)}."
            )
        dtype = np.dtype(spec.dtype)
        if num_frames == 0:
            nothing = np.empty((0,) if spec.width is None else (0, spec.width), dtype)
            return lambda: nothing
        chunk_frames = self.attributes.chunk_frames
        chunk_width = spec.chunk_width or spec.width
        chunk_shape = (chunk_frames,) if chunk_width is None else (chunk_frames, chunk_width)
        shard, row = divmod(first_frame, spec.shard_rows(self.attributes.shard_frames))
        first, last = row // chunk_frames, (row + num_frames - 1) // chunk_frames
        index = self._index(track, spec, shard)
        data = self._bytes(shard, index.name, *index.span(first, last))
        start = row - first * chunk_frames
        return lambda: index.decode(data, first, last, chunk_shape, dtype)[start : start + num_frames]

    def read_together(
        self, tracks: Sequence[str], first_frame: int, num_frames: int
    ) -> dict[str, NDArray[np.generic]]:
        """The same span of several tracks, by name; from remote storages all at the same time.

        Raises:
            NotFoundError, CorruptDataError: as `read`.
        """
        if len(tracks) < 2 or not self.is_remote:
            return {track: self.read(track, first_frame, num_frames) for track in tracks}
        with ThreadPoolExecutor(len(tracks)) as pool:
            fetches = {track: pool.submit(self.fetch, track, first_frame, num_frames) for track in tracks}
            return {track: fetch.result()() for track, fetch in fetches.items()}

    def _index(self, track: str, spec: TrackSpec, shard: int) -> ShardIndex:
        name = shard_object(track, spec, shard)

        def read() -> ShardIndex:
            columns = spec.width // spec.chunk_width if spec.width and spec.chunk_width else 1
            shard_rows = spec.shard_rows(self.attributes.shard_frames)
            length = index_bytes(shard_rows, self.attributes.chunk_frames, columns)
            data = self._bytes(shard, name, self._object(shard, name).size - length, length)
            return ShardIndex.parse(data, name, columns)

        return self._indexes.get(name, read)

    def _object(self, shard: int, name: str) -> ShardObject:
        objects = self.lookup.objects_of(shard) if self._objects is None else self._objects
        entry = objects.get(name)
        if entry is None:
            raise CorruptDataError(f"No manifest part of {self.storage.url} lists {name}.")
        return entry

    def _bytes(self, shard: int, name: str, start: int, length: int) -> memoryview:
        try:
            data = self._get(shard, name, start, length)
        except NotFoundError as error:
            raise CorruptDataError(
                f"{name} is missing in {self.storage.url}, although its manifest part lists it."
            ) from error
        if len(data) != length:
            raise CorruptDataError(
                f"{name} in {self.storage.url} is truncated to {self.storage.size(name)} bytes where its "
                f"manifest part says {self._object(shard, name).size}."
            )
        return data

    def _get(self, shard: int, name: str, start: int, length: int) -> memoryview:
        if self.cache is None:
            return self.storage.get_range(name, start, length)
        entry = self._object(shard, name)
        fetch = partial(self.storage.get_range, name)
        return self.cache.read(entry.sha256, entry.size, start, length, fetch)
