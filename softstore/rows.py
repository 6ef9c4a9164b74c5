"""Manifest rows of a collection by their number in a survey, read when they are asked for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from softstore.errors import CorruptDataError
from softstore.frames import Frames
from softstore.manifest import OF_A_SHARD, ShardObject, shard_objects
from softstore.parts import Span, part_of_shard, read_attributes, read_part
from softstore.recent import Recent
from softstore.survey import Survey

_PARTS = 8
"""Manifest parts kept in memory."""


class Rows:
    """The rows of a collection as it was surveyed; what is kept of it is a few bytes a shard."""

    def __init__(self, source: Frames, surveyed: Survey) -> None:
        self._source = source
        self._firsts, self._shards = surveyed.firsts, surveyed.shards
        self._size = len(surveyed)
        self._parts: Recent[Span, pa.Table] = Recent(_PARTS)

    def __len__(self) -> int:
        return self._size

    def take(self, numbers: NDArray[np.int64]) -> tuple[pa.Table, dict[str, ShardObject]]:
        """The rows with these numbers, rising, and all objects of their shards.

        Raises:
            CorruptDataError: their manifest part is damaged or gone.
        """
        holders = np.searchsorted(self._firsts, numbers, side="right") - 1
        tables: list[pa.Table] = []
        objects: dict[str, ShardObject] = {}
        for holder in np.unique(holders).tolist():
            table = self._shard(int(self._shards[holder]))
            objects |= shard_objects(table["objects"].slice(0, 1))
            inside = numbers[holders == holder] - self._firsts[holder]
            tables.append(table.drop_columns(list(OF_A_SHARD)).take(pa.array(inside)))
        return pa.concat_tables(tables, promote_options="permissive"), objects

    def _shard(self, shard: int) -> pa.Table:
        storage, attributes = self._source.storage, self._source.attributes
        try:
            part = self._part(part_of_shard(attributes.compacted, shard))
        except CorruptDataError:
            # It may have been compacted since it was surveyed.
            part = self._part(part_of_shard(read_attributes(storage).compacted, shard))
        return part.filter(pc.equal(part["shard"], shard))

    def _part(self, span: Span) -> pa.Table:
        return self._parts.get(span, lambda: self._read(span))

    def _read(self, span: Span) -> pa.Table:
        storage = self._source.storage
        part = read_part(storage, span)
        if part is None:
            raise CorruptDataError(
                f"The manifest part of shards {span[0]} … {span[1]} is missing in {storage.url}: run "
                "`softstore verify` there."
            )
        return part
