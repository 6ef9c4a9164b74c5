"""What a store says of itself, from storage: the root attributes and the manifest parts.

A part is a Parquet file with 8 bytes more between its last data page and its footer, where Parquet readers
never look: ``SSCK`` and the crc32c (little-endian) of all its other bytes. Parts are asked for by name, never
listed, so that a plain HTTP server will do.
"""

from __future__ import annotations

import bisect
import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from softstore.errors import CorruptDataError, NotAStoreError, NotFoundError
from softstore.format import MANIFEST, ROOT_METADATA, Attributes, manifest_part
from softstore.manifest import OF_A_SHARD, PLACEMENT, Manifest
from softstore.metadata import parse_root
from softstore.reading_ahead import read_ahead
from softstore.sharding import crc32c
from softstore.storage import Storage

_REQUESTS = 16
_LOOKS = 8
"""How often a reader looks again at a store that is being compacted under its eyes."""

_MAGIC = b"SSCK"
_CHECKSUM_BYTES = len(_MAGIC) + 4
_PARQUET_TAIL = 8

_PART = re.compile(rf"{MANIFEST}/([0-9]{{6,}})(?:-([0-9]{{6,}}))?\.parquet")

Span = tuple[int, int]
"""First and last shard of a part, both included."""


def read_attributes(storage: Storage) -> Attributes:
    """The root attributes.

    Raises:
        NotAStoreError: there is no readable ``zarr.json``, or it is not one of ours.
        CorruptDataError: it does not match its checksum.
        FormatError: of a version this release does not know.
    """
    try:
        data = storage.get(ROOT_METADATA)
    except NotFoundError as error:
        raise NotAStoreError(
            f"{storage.url} is not a softstore store or corpus: it has no zarr.json."
        ) from error
    return parse_root(data, storage.url)


def read_manifest(storage: Storage, attributes: Attributes) -> Manifest:
    """All published utterances.

    Raises:
        CorruptDataError: a part is damaged, or one that a finished run had published is gone.
    """
    return Manifest(list(iter_whole(storage, attributes)))


def iter_whole(
    storage: Storage, attributes: Attributes, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """As `iter_parts`, of a store that must have all shards that a finished run left.

    Raises:
        CorruptDataError: a part is damaged, or one that a finished run had published is gone.
    """
    complete = attributes.complete.shards if attributes.complete else 0
    expected = 0
    for span, part in _iter_spans(storage, attributes, columns):
        if expected < min(span[0], complete):
            break
        expected = span[1] + 1
        yield part
    if expected < complete:
        raise CorruptDataError(
            f"{manifest_part(expected, expected)} is missing in {storage.url}, which was complete with "
            f"{complete} shards: `softstore verify` says what can be done."
        )


def iter_parts(
    storage: Storage,
    attributes: Attributes,
    columns: Sequence[str] | None = None,
    known: Sequence[Span] = (),
) -> Iterator[pa.Table]:
    """The parts that are published, in shard order; shards that nobody has written yet are left out.

    The next few are read ahead. Others may compact or extend the store meanwhile: every shard that was there
    before comes exactly once, later ones may.

    Args:
        columns: only these, of each part those that it has; None: all.
        known: runs of shards; a part of which these hold all shards is left out.

    Raises:
        CorruptDataError: a part is damaged, or a compacted one is gone.
    """
    return (part for _, part in _iter_spans(storage, attributes, columns, known))


def _iter_spans(
    storage: Storage, attributes: Attributes, columns: Sequence[str] | None, known: Sequence[Span] = ()
) -> Iterator[tuple[Span, pa.Table]]:
    """Parts with the shards that come with them: of a merged part, perhaps not the first ones."""

    def read(span: Span) -> tuple[Span, pa.Table | None, float]:
        return span, _read_some(storage, span, columns), time.monotonic()

    begin, looks, looked = 0, 0, 0.0
    while True:
        spans = (
            span
            for span in part_spans(attributes.compacted, attributes.shards)
            if span[1] >= begin and not holds(known, span)
        )
        latest = attributes
        with closing(read_ahead(read, spans, _REQUESTS, 2 * _REQUESTS)) as parts:
            for span, part, asked in parts:
                if part is None:
                    # What was there a moment ago may have been merged: only the root tells.
                    if asked > looked:
                        looked = time.monotonic()
                        latest = read_attributes(storage)
                    if latest.compacted != attributes.compacted and looks < _LOOKS:
                        looks += 1
                        break
                    if span in attributes.compacted:
                        raise CorruptDataError(
                            f"{manifest_part(*span)} is missing in {storage.url}, although {ROOT_METADATA} "
                            "lists it: `softstore verify` says what can be done."
                        )
                    continue
                if span[0] < begin:
                    part = part.filter(pc.greater_equal(part["shard"], begin))
                yield (max(begin, span[0]), span[1]), _select(part, columns)
                begin, looks = span[1] + 1, 0
            else:
                return
        attributes = latest


def part_spans(compacted: Sequence[Span], shards: int) -> Iterator[Span]:
    """The shards of every part that there may be, in order: compacted ones, and one for each other shard."""
    shard = 0
    for first, last in compacted:
        yield from ((single, single) for single in range(shard, first))
        yield first, last
        shard = last + 1
    yield from ((single, single) for single in range(shard, shards))


def holds(spans: Sequence[Span], span: Span) -> bool:
    """Whether one of these, which are in order, has all shards of ``span``."""
    place = bisect.bisect_right(spans, span[0], key=lambda known: known[0])
    return place > 0 and span[1] <= spans[place - 1][1]


def part_of_shard(compacted: Sequence[Span], shard: int) -> Span:
    """The shards of the part that has this one, if it is published."""
    place = bisect.bisect_right(compacted, shard, key=lambda span: span[0])
    return compacted[place - 1] if holds(compacted, (shard, shard)) else (shard, shard)


def list_parts(attributes: Attributes, merged: Sequence[Span]) -> Attributes:
    """The attributes with merged parts listed, in place of compacted ones that they hold."""
    kept = [
        span
        for span in attributes.compacted
        if not any(first <= span[0] and span[1] <= last for first, last in merged)
    ]
    shards = max([attributes.shards, *(last + 1 for _, last in merged)])
    return attributes.model_copy(update={"compacted": sorted([*kept, *merged]), "shards": shards})


def part_of_path(path: str) -> Span | None:
    """The shards of the part that has this path; None if no part has."""
    match = _PART.fullmatch(path)
    span = (int(match[1]), int(match[2] or match[1])) if match else None
    return span if span and span[0] <= span[1] and manifest_part(*span) == path else None


def read_part(storage: Storage, span: Span, columns: Sequence[str] | None = None) -> pa.Table | None:
    """The part of these shards; None if there is none.

    Args:
        columns: only these, those that it has; None: all.

    Raises:
        CorruptDataError: it is damaged, or holds other shards.
    """
    part = _read_some(storage, span, columns)
    return None if part is None else _select(part, columns)


def _read_some(storage: Storage, span: Span, columns: Sequence[str] | None) -> pa.Table | None:
    """At least the columns asked for, and which shard each row is of."""
    name = manifest_part(*span)
    try:
        data = storage.get(name)
    except NotFoundError:
        return None
    table = part_from_bytes(data, name, None if columns is None else ["shard", *columns])
    shards = sorted(set(table["shard"].to_numpy().tolist()))
    if shards != list(range(span[0], span[1] + 1)):
        raise CorruptDataError(f"{name} in {storage.url} does not hold the shards of its name.")
    return table


def _select(part: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    return part if columns is None else part.select([name for name in columns if name in part.column_names])


def part_to_bytes(table: pa.Table) -> bytes:
    """A part as it is stored: Parquet with a checksum before its footer."""
    sink = io.BytesIO()
    # Dictionaries of numbers, ids and texts, most of which differ, would only be in the way.
    repeating = ["speaker", "split"]
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, use_dictionary=repeating)
    data = sink.getvalue()
    footer = _footer(data)
    return data[:footer] + _MAGIC + crc32c(data).to_bytes(4, "little") + data[footer:]


def part_from_bytes(data: bytes, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a part.

    Args:
        columns: only these, those that it has; None: all. The checksum is over all.

    Raises:
        CorruptDataError: the bytes are not a manifest part, do not match their checksum, or softstore's own
            columns are missing or hold something else.
    """
    footer = _footer(data)
    begin = footer - _CHECKSUM_BYTES
    checksum = data[max(begin, 0) : footer]
    if checksum != _MAGIC + crc32c(data[footer:], crc32c(data[: max(begin, 0)])).to_bytes(4, "little"):
        raise CorruptDataError(f"{name} is damaged: its bytes do not match their checksum.")
    try:
        # Most parts are small: what pyarrow does for large files would take longer than to read them.
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        _check_columns(file.schema_arrow, name)
        table = file.read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptDataError(f"{name} is damaged: {str(error).partition(chr(10))[0]}") from error
    return table.replace_schema_metadata(None)


def _check_columns(schema: pa.Schema, name: str) -> None:
    for column, kind in (PLACEMENT | OF_A_SHARD).items():
        if column not in schema.names:
            raise CorruptDataError(f"{name} is damaged: it lacks the column {column!r}.")
        found = schema.field(column).type
        if found != kind:
            raise CorruptDataError(f"{name} is damaged: its column {column!r} holds {found}, not {kind}.")


def _footer(data: bytes) -> int:
    """Where the Parquet footer begins: its length stands before the last four bytes."""
    return len(data) - _PARQUET_TAIL - int.from_bytes(data[-_PARQUET_TAIL:-4], "little")
