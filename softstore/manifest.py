"""The manifest: which utterance lies where, one Parquet part per shard.

Columns: ``utterance_id``, ``shard``, ``first_frame`` (on the frame axis of the whole store), ``num_frames``,
``speaker``, ``split``, ``text``, ``features_crc32c``, then the corpus's own columns, then, for soft targets,
the certificate: ``entropy`` (mean, nats) and ``mean_kl_t<T>``, ``max_kl_t<T>`` (nats) for each temperature.
A part's Parquet metadata lists the shard's objects with size and crc32c, so that a deleted one is an error.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from softstore.errors import CorruptDataError, InvalidInputError

METADATA_KEY = b"softstore"

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


@dataclass(frozen=True, slots=True)
class ShardObject:
    """One object of a shard: its size in bytes and crc32c."""

    size: int
    crc32c: int


@dataclass(frozen=True, slots=True)
class ManifestPart:
    """One published shard.

    Attributes:
        utterances: one row per utterance.
        objects: the shard's objects by path.
        kl_histogram: for each certificate temperature (as text), how many frames fell into each bin of
            `softstore.certificate.KL_BINS`.
    """

    utterances: pa.Table
    objects: dict[str, ShardObject]
    kl_histogram: dict[str, list[int]]

    def to_bytes(self) -> bytes:
        metadata = {
            "objects": {path: asdict(entry) for path, entry in self.objects.items()},
            "kl_histogram": self.kl_histogram,
        }
        table = self.utterances.replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> ManifestPart:
        """Raises `CorruptDataError` where the bytes are not a manifest part, or fail its checksums."""
        try:
            table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
            metadata = json.loads(table.schema.metadata[METADATA_KEY])
            objects = {path: ShardObject(**entry) for path, entry in metadata["objects"].items()}
            histogram = {key: [int(n) for n in counts] for key, counts in metadata["kl_histogram"].items()}
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptDataError(f"{name} is damaged: {str(error).partition(chr(10))[0]}") from error
        return cls(table.replace_schema_metadata(None), objects, histogram)


def manifest_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of one shard as a table: the placement columns first, the others in the order of the first row."""
    extra = [name for name in rows[0] if name not in PLACEMENT]
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in PLACEMENT.items()}
    return pa.table(columns | {name: pa.array([row[name] for row in rows]) for name in extra})


class Manifest:
    """All published utterances of a store, in shard order.

    Raises:
        CorruptDataError: the same utterance was published twice.
    """

    def __init__(self, parts: Mapping[int, ManifestPart]) -> None:
        self.shards = sorted(parts)
        self.objects = {path: entry for shard in self.shards for path, entry in parts[shard].objects.items()}
        self.table = (
            pa.concat_tables([parts[shard].utterances for shard in self.shards], promote_options="permissive")
            if parts
            else pa.table({name: pa.array([], kind) for name, kind in PLACEMENT.items()})
        )
        self._rows = {
            utterance_id: row for row, utterance_id in enumerate(self.table["utterance_id"].to_pylist())
        }
        if len(self._rows) != len(self.table):
            raise CorruptDataError("The manifest lists an utterance twice; run generation into a new store.")
        self._histograms = [parts[shard].kl_histogram for shard in self.shards]

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self._rows

    @property
    def frames(self) -> int:
        """Frames of all utterances together."""
        return int(sum(self.table["num_frames"].to_numpy()))

    def row(self, utterance_id: str) -> dict[str, Any]:
        """One utterance's columns; KeyError if it is not there."""
        return next(iter(self.table.slice(self._rows[utterance_id], 1).to_pylist()))

    def by_utterance(self, column: str) -> dict[str, Any]:
        """One column's values by utterance id, in stored order."""
        ids = self.table["utterance_id"].to_pylist()
        return dict(zip(ids, self.table[column].to_pylist(), strict=True))

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
        return [
            sum(counts)
            for counts in zip(*(part[f"{temperature:g}"] for part in self._histograms), strict=True)
        ]
