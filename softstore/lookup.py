"""Utterances found one at a time, in a store whose manifest need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from softstore.errors import ConflictError, CorruptDataError, NotFoundError
from softstore.format import Attributes, IdIndex
from softstore.id_index import Entries, bucket_of, entries_of, id_checksum, read_bucket, shards_of, within
from softstore.manifest import OF_A_SHARD, ShardObject, shard_objects, twice
from softstore.parts import Span, iter_parts, part_of_shard, read_attributes, read_part
from softstore.recent import Recent
from softstore.storage import Storage

T = TypeVar("T")

_PARTS = 16
"""Manifest parts kept: a few megabytes."""
_BUCKETS = 64
_LOOKS = 8
"""How often it looks again at a store that is being compacted under its eyes."""


class Lookup:
    """What `Manifest` says of single utterances and shards, by the store's index of ids.

    Threads may share one. An utterance costs two requests at most: a bucket of the index, and the manifest
    part of its shard; the last ones are kept. What the index does not cover is asked for once, at first use.

    Raises:
        CorruptDataError: the index, or a part that is needed, is damaged or gone, or an utterance was
            published twice.
    """

    def __init__(self, storage: Storage, attributes: Attributes) -> None:
        self._storage = storage
        self._opened = self._latest = attributes
        self._buckets: Recent[tuple[str, int], Entries] = Recent(_BUCKETS)
        self._parts: Recent[Span, pa.Table] = Recent(_PARTS)

    def __len__(self) -> int:
        return self._index(self._opened).utterances + len(self._later)

    def __contains__(self, utterance_id: object) -> bool:
        return bool(self._rows(utterance_id))

    def row(self, utterance_id: str) -> dict[str, Any]:
        """One utterance's columns, those that its part has; KeyError if it is not there."""
        rows = self._rows(utterance_id)
        if not rows:
            raise KeyError(utterance_id)
        return rows[0]

    def objects_of(self, shard: int) -> dict[str, ShardObject]:
        """The objects of one shard by path."""
        part = self._part(shard)
        place = int(np.searchsorted(part["shard"].to_numpy(), shard))
        return shard_objects(part["objects"].slice(place, 1)) if place < len(part) else {}

    def _rows(self, utterance_id: object) -> list[dict[str, Any]]:
        checksum = id_checksum(utterance_id) if isinstance(utterance_id, str) else None
        if checksum is None:
            return []
        shards = shards_of(self._bucket(checksum), checksum) + shards_of(self._later, checksum)
        found: dict[int, dict[str, Any]] = {}
        for part in self._parts_of(shards):
            same = part.drop_columns(list(OF_A_SHARD)).filter(pc.equal(part["utterance_id"], utterance_id))
            found |= {row["first_frame"]: row for row in same.to_pylist()}
        if len(found) > 1:
            raise twice(str(utterance_id))
        return list(found.values())

    def _bucket(self, checksum: int) -> Entries:
        """Those entries of the bucket that count."""

        def read(attributes: Attributes) -> Entries:
            index = self._index(attributes)
            bucket = bucket_of(checksum, index.buckets)
            entries = self._buckets.get(
                (index.name, bucket), lambda: read_bucket(self._storage, index, bucket)
            )
            return entries[within(entries, index.shards)]

        return self._current(read)

    def _parts_of(self, shards: Iterable[int]) -> list[pa.Table]:
        """The different parts that have these shards."""
        parts = {id(part): part for part in map(self._part, shards)}
        return list(parts.values())

    def _part(self, shard: int) -> pa.Table:
        def read(attributes: Attributes) -> pa.Table:
            span = part_of_shard(attributes.compacted, shard)
            return self._parts.get(span, lambda: _there(self._storage, span))

        return self._current(read)

    @cached_property
    def _later(self) -> Entries:
        """Entries of the shards that the index does not cover, of those that are published."""
        covered = self._index(self._opened).shards
        parts = iter_parts(self._storage, self._opened, ("utterance_id", "shard"), covered)
        entries = np.concatenate([np.empty(0, np.uint64), *map(entries_of, parts)])
        return np.sort(entries[~within(entries, covered)])

    def _current(self, read: Callable[[Attributes], T]) -> T:
        """What is read by the attributes as they are known or, if that is gone, as they are now."""
        for _ in range(_LOOKS):
            attributes = self._latest
            try:
                return read(attributes)
            except NotFoundError as error:
                missing = error
            latest = read_attributes(self._storage)
            if (latest.compacted, latest.id_index) == (attributes.compacted, attributes.id_index):
                break
            self._latest = latest
        raise CorruptDataError(f"{missing} `softstore verify` says what can be done.") from missing

    def _index(self, attributes: Attributes) -> IdIndex:
        if attributes.id_index is None:
            raise ConflictError(f"{self._storage.url} was repaired while it was read: open it again.")
        return attributes.id_index


def _there(storage: Storage, span: Span) -> pa.Table:
    part = read_part(storage, span)
    if part is None:
        raise NotFoundError(f"There is no manifest part of shards {span[0]} … {span[1]} in {storage.url}.")
    return part
