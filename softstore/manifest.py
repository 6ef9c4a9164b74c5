"""The manifest: which utterance lies where, in Parquet parts of one or (compacted) several shards.

Columns: ``utterance_id``, ``shard``, ``first_frame`` (on the frame axis of the whole store), ``num_frames``,
``speaker``, ``split``, ``text``, ``features_crc32c``, then the corpus's own columns, then, for soft targets,
the certificate: ``entropy`` (mean, nats) and ``mean_kl_t<T>``, ``max_kl_t<T>`` (nats) for each temperature.

Two columns say something about a whole shard, and are null but in its first row: ``objects``, its objects
with size and SHA-256, so that a deleted one is an error; and ``kl_histogram``, how many of its frames fell
into each bin of `softstore.certificate.KL_BINS` at each certificate temperature. So a compacted part is
nothing but the rows of its shards' parts, one after another.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from softstore.errors import CorruptDataError, InvalidInputError

PLACEMENT = {
    "utterance_id": pa.string(),
    "shard": pa.int32(),
    "first_frame": pa.int64(),
    "num_frames": pa.int32(),
    "speaker": pa.string(),
    "split": pa.string(),
    "text": pa.string(),
    "features_crc32c": pa.uint32(),
}

OF_A_SHARD = {
    "objects": pa.list_(
        pa.struct({"path": pa.string(), "size": pa.uint64(), "sha256": pa.string()}),
    ),
    "kl_histogram": pa.list_(
        pa.struct({"temperature": pa.float64(), "frames": pa.list_(pa.uint32())}),
    ),
}


@dataclass(frozen=True, slots=True)
class ShardObject:
    """One object of a shard: its size in bytes and `softstore.sharding.sha256`."""

    size: int
    sha256: str


def utterance_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The utterances of one shard; their own columns follow the placement in the order they are first met.

    Raises:
        InvalidInputError: there are no rows, or a column mixes types or has a name that is taken.
    """
    if not rows:
        raise InvalidInputError("A shard was to be written without utterances.")
    extra = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in PLACEMENT]
    taken = sorted(OF_A_SHARD.keys() & set(extra))
    if taken:
        raise InvalidInputError(f"The manifest column {taken[0]!r} has a meaning of its own: rename yours.")
    kinds = PLACEMENT | dict.fromkeys(extra)
    return pa.table({name: _column(name, [row.get(name) for row in rows], kinds[name]) for name in kinds})


def shard_table(
    utterances: pa.Table, objects: Mapping[str, ShardObject], kl_histogram: Mapping[str, Sequence[int]]
) -> pa.Table:
    """The manifest part of one shard.

    Args:
        utterances: as from `utterance_table`.
        objects: the shard's objects by path.
        kl_histogram: frames per bin, by temperature as text.
    """
    first_row = {
        "objects": [{"path": path, **asdict(entry)} for path, entry in objects.items()],
        "kl_histogram": [
            {"temperature": float(temperature), "frames": list(counts)}
            for temperature, counts in kl_histogram.items()
        ],
    }
    for name, kind in OF_A_SHARD.items():
        column = [first_row[name], *(None for _ in range(1, len(utterances)))]
        utterances = utterances.append_column(name, pa.array(column, kind))
    return utterances


def join(parts: Sequence[pa.Table]) -> pa.Table:
    """The rows of several parts one after another; columns that only some have are null in the others.

    Raises:
        CorruptDataError: a column has other types in other parts.
    """
    if not parts:
        return pa.table({name: pa.array([], kind) for name, kind in (PLACEMENT | OF_A_SHARD).items()})
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise CorruptDataError(f"The manifest parts do not fit together: {_brief(error)}") from error


class Piece(NamedTuple):
    """Some whole shards of a manifest, cut in two.

    Attributes:
        utterances: one row each, without the columns of whole shards.
        shards: one row each, with nothing but those columns.
    """

    utterances: pa.Table
    shards: pa.Table

    @classmethod
    def of(cls, part: pa.Table) -> Piece:
        """From a manifest part, or from some of its columns, ``objects`` among them if any of a shard is."""
        of_a_shard = [name for name in OF_A_SHARD if name in part.column_names]
        utterances = part.drop_columns(of_a_shard)
        if not of_a_shard:
            return cls(utterances, part.select([]))
        return cls(utterances, part.select(of_a_shard).filter(pc.is_valid(part[of_a_shard[0]])))


def shard_objects(column: pa.ChunkedArray) -> dict[str, ShardObject]:
    """What some rows of ``objects`` list, by path."""
    found = pc.list_flatten(_one_chunk(column))
    columns = (found.field(name).to_pylist() for name in ("path", "size", "sha256"))
    return {path: ShardObject(size, checksum) for path, size, checksum in zip(*columns, strict=True)}


def histogram_of(column: pa.ChunkedArray, temperature: float) -> list[int]:
    """What some rows of ``kl_histogram`` say of one temperature, summed up."""
    found = pc.list_flatten(_one_chunk(column))
    counts = found.field("frames").filter(pc.equal(found.field("temperature"), temperature))
    by_shard = counts.flatten().to_numpy().astype(np.int64).reshape(max(len(counts), 1), -1)
    return [int(frames) for frames in by_shard.sum(axis=0)]


def twice(utterance_id: str) -> CorruptDataError:
    """The error of a manifest with two rows for one utterance."""
    return CorruptDataError(
        f"The manifest lists utterance {utterance_id!r} twice: generate into a new store."
    )


_BLOCK = 64
"""Sorted ids that are compared one by one, after a look at the first of each block."""


class Manifest:
    """All published utterances of a store, in shard order.

    Attributes:
        table: one row per utterance; the columns of whole shards left out.
        shards: the published shards, in order.

    Raises:
        CorruptDataError: the same utterance was published twice.
    """

    def __init__(self, parts: Sequence[pa.Table]) -> None:
        joined = Piece.of(join(parts))
        self.table = joined.utterances.combine_chunks()
        self._shards = joined.shards.combine_chunks()
        self.shards: list[int] = np.unique(self.table["shard"].to_numpy()).tolist()
        # Sorted, ids are both checked and found without a Python object for each of a million utterances; as
        # large strings they are in one piece, however long. Arrow sorts UTF-8 as Python sorts text.
        ids = _one_chunk(self.table["utterance_id"].cast(pa.large_string()))
        order = pc.sort_indices(ids)
        self._sorted = ids.take(order)
        self._order = order.to_numpy().astype(np.uint32)
        self._fences: list[str] = self._sorted.take(pa.array(np.arange(0, len(ids), _BLOCK))).to_pylist()
        place = pc.index(pc.equal(self._sorted[1:], self._sorted[:-1]), True).as_py()
        if place >= 0:
            raise twice(self._sorted[place].as_py())

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, utterance_id: object) -> bool:
        return self._find(utterance_id) is not None

    @property
    def frames(self) -> int:
        """Frames of all utterances together."""
        return int(pc.sum(self.table["num_frames"]).as_py() or 0)

    @cached_property
    def objects(self) -> dict[str, ShardObject]:
        """The objects of all shards by path."""
        return shard_objects(self._shards["objects"])

    def objects_of(self, shard: int) -> dict[str, ShardObject]:
        """The objects of one shard by path; none of a shard that is not published."""
        place = bisect.bisect_left(self.shards, shard)
        found = self.shards[place : place + 1] == [shard]
        return shard_objects(self._shards["objects"].slice(place, 1)) if found else {}

    @property
    def piece(self) -> Piece:
        """All of it, for those who can do with pieces."""
        return Piece(self.table, self._shards)

    def row(self, utterance_id: str) -> dict[str, Any]:
        """One utterance's columns; KeyError if it is not there."""
        found = self._find(utterance_id)
        if found is None:
            raise KeyError(utterance_id)
        return next(iter(self.table.slice(found, 1).to_pylist()))

    def by_utterance(self, column: str) -> dict[str, Any]:
        """One column's values by utterance id, in stored order."""
        return dict(zip(self.table["utterance_id"].to_pylist(), self.table[column].to_pylist(), strict=True))

    def where(self, /, **equals: Any) -> pa.Table:
        """The rows whose columns equal all of the given values.

        Raises:
            InvalidInputError: there is no such column.
        """
        table = self.table
        for column, value in equals.items():
            if column not in table.column_names:
                raise InvalidInputError(
                    f"There is no manifest column {column!r}; there are {', '.join(table.column_names)}."
                )
            try:
                table = table.filter(pc.equal(table[column], value))
            except pa.ArrowException as error:
                raise InvalidInputError(
                    f"The manifest column {column!r} holds {table[column].type}, which {value!r} is not."
                ) from error
        return table

    def kl_histogram(self, temperature: float) -> list[int]:
        """Frames per bin of `softstore.certificate.KL_BINS` at one certificate temperature."""
        return histogram_of(self._shards["kl_histogram"], temperature)

    def _find(self, utterance_id: object) -> int | None:
        if not isinstance(utterance_id, str):
            return None
        start = max(bisect.bisect_right(self._fences, utterance_id) - 1, 0) * _BLOCK
        block = self._sorted.slice(start, _BLOCK).to_pylist()
        place = bisect.bisect_left(block, utterance_id)
        found = place < len(block) and block[place] == utterance_id
        return int(self._order[start + place]) if found else None


def _column(name: str, values: list[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InvalidInputError(f"The manifest cannot hold the column {name!r}: {_brief(error)}") from error


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _brief(error: Exception) -> str:
    return str(error).partition("\n")[0]
