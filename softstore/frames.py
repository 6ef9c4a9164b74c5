"""Frames at rest: tracks on one frame axis plus a manifest, read from any storage.

Both soft-target stores and corpora are this. A span of frames costs one range request per track; shard
indexes are fetched once and kept; everything read is checked against its crc32c.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, NotAStoreError, NotFoundError, StorageError
from softstore.format import ROOT_METADATA, Attributes, manifest_part, shard_object
from softstore.manifest import Manifest, ManifestPart
from softstore.sharding import ShardIndex, index_bytes
from softstore.storage import Storage

_MANIFEST_REQUESTS = 16


class Frames:
    """Everything below one URL, as published when it was opened."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.attributes = read_attributes(storage)
        self._indexes: dict[str, ShardIndex] = {}
        self._lock = threading.Lock()

    @cached_property
    def manifest(self) -> Manifest:
        """All published parts.

        Raises:
            CorruptDataError: a part is damaged, or one that a finished run had published is gone.
        """
        parts = read_manifest_parts(self.storage, self.attributes.shards)
        complete = self.attributes.complete
        lost = [n for n in range(complete.shards if complete else 0) if n not in parts]
        if lost:
            raise CorruptDataError(
                f"{manifest_part(lost[0])} is missing in {self.storage.url}, which was complete with "
                f"{complete.shards if complete else 0} shards: restore it, or generate the store again."
            )
        return Manifest(parts)

    def read(self, track: str, first_frame: int, num_frames: int) -> NDArray[np.generic]:
        """Rows of one track: shape (frames,) or (frames, width), of the track's dtype.

        Args:
            first_frame: on the frame axis of the whole store; the span must lie inside one shard.

        Raises:
            NotFoundError: the store has no such track.
            CorruptDataError: the object is missing, truncated or damaged.
        """
        spec = self.attributes.tracks.get(track)
        if spec is None:
            raise NotFoundError(
                f"{self.storage.url} has no {track} track; it has {', '.join(self.attributes.tracks)}."
            )
        dtype = np.dtype(spec.dtype)
        width = () if spec.width is None else (spec.width,)
        if num_frames == 0:
            return np.empty((0, *width), dtype)
        chunk_frames = self.attributes.chunk_frames
        shard, row = divmod(first_frame, self.attributes.shard_frames)
        first, last = row // chunk_frames, (row + num_frames - 1) // chunk_frames
        index = self._index(shard_object(track, spec, shard))
        data = self._bytes(index.name, *index.span(first, last))
        rows = index.decode(data, first, last, (chunk_frames, *width), dtype)
        start = row - first * chunk_frames
        return rows[start : start + num_frames]

    def _index(self, name: str) -> ShardIndex:
        index = self._indexes.get(name)
        if index is None:
            length = index_bytes(self.attributes.shard_frames, self.attributes.chunk_frames)
            index = ShardIndex.parse(self._bytes(name, self._size(name) - length, length), name)
            with self._lock:
                self._indexes[name] = index
        return index

    def _size(self, name: str) -> int:
        entry = self.manifest.objects.get(name)
        if entry is None:
            raise CorruptDataError(f"No manifest part of {self.storage.url} lists {name}.")
        return entry.size

    def _bytes(self, name: str, start: int, length: int) -> memoryview:
        try:
            return self.storage.get_range(name, start, length)
        except NotFoundError as error:
            raise CorruptDataError(
                f"{name} is missing in {self.storage.url}, although its manifest part lists it."
            ) from error
        except StorageError as error:
            # Storages refuse a range beyond an object's end in many words: ask for its size instead.
            size, expected = self.storage.size(name), self._size(name)
            if size == expected:
                raise
            raise CorruptDataError(
                f"{name} in {self.storage.url} has {size} bytes where its manifest part says {expected}."
            ) from error


def read_attributes(storage: Storage) -> Attributes:
    """The root attributes.

    Raises:
        NotAStoreError: there is no readable ``zarr.json``, or it is not one of ours.
        FormatError: of a version this release does not know.
    """
    try:
        root: Any = json.loads(storage.get(ROOT_METADATA))
    except NotFoundError as error:
        raise NotAStoreError(
            f"{storage.url} is not a softstore store or corpus: it has no zarr.json."
        ) from error
    except ValueError as error:
        raise NotAStoreError(
            f"{storage.url} is not a softstore store or corpus: its zarr.json is not JSON."
        ) from error
    return Attributes.parse(root if isinstance(root, dict) else {}, storage.url)


def read_manifest_parts(storage: Storage, shards: int) -> dict[int, ManifestPart]:
    """The published parts among the first ``shards``, by shard.

    Parts are asked for by name, never listed, so that a plain HTTP server will do.
    """

    def read(shard: int) -> ManifestPart | None:
        name = manifest_part(shard)
        try:
            data = storage.get(name)
        except NotFoundError:
            return None
        return ManifestPart.from_bytes(data, name)

    with ThreadPoolExecutor(_MANIFEST_REQUESTS) as pool:
        found = enumerate(pool.map(read, range(shards)))
        return {shard: part for shard, part in found if part is not None}
