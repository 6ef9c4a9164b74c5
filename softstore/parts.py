"""What a store says of itself, from storage: the root attributes and the manifest parts.

A part is a Parquet file with 8 bytes more between its last data page and its footer, where Parquet readers
never look: ``SSCK`` and the crc32c (little-endian) of all its other bytes. Parts are asked for by name, never
listed, so that a plain HTTP server will do.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from softstore.errors import CorruptDataError, NotAStoreError, NotFoundError
from softstore.format import MANIFEST, ROOT_METADATA, Attributes, manifest_part
from softstore.manifest import OF_A_SHARD, PLACEMENT, Manifest
from softstore.metadata import parse_root
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
    manifest = Manifest(read_parts(storage, attributes))
    complete = attributes.complete.shards if attributes.complete else 0
    lost = sorted(set(range(complete)).difference(manifest.shards))
    if lost:
        raise CorruptDataError(
            f"{manifest_part(lost[0], lost[0])} is missing in {storage.url}, which was complete with "
            f"{complete} shards: `softstore verify` says what can be done."
        )
    return manifest


def read_parts(storage: Storage, attributes: Attributes) -> list[pa.Table]:
    """The parts that are published, in shard order; shards that nobody has written yet are left out.

    Raises:
        CorruptDataError: a part is damaged, or a compacted one is gone.
    """
    for _ in range(_LOOKS):
        spans = part_spans(attributes.compacted, attributes.shards)
        with ThreadPoolExecutor(_REQUESTS) as pool:
            found = list(pool.map(lambda span: read_part(storage, span), spans))
        gone = [span for span, part in zip(spans, found, strict=True) if part is None]
        # What was there a moment ago may have been merged: only the root tells.
        latest = read_attributes(storage) if gone else attributes
        if latest.compacted == attributes.compacted:
            break
        attributes = latest
    lost = [span for span in gone if span in attributes.compacted]
    if lost:
        raise CorruptDataError(
            f"{manifest_part(*lost[0])} is missing in {storage.url}, although {ROOT_METADATA} lists it: "
            "`softstore verify` says what can be done."
        )
    return [part for part in found if part is not None]


def part_spans(compacted: Sequence[Span], shards: int) -> list[Span]:
    """The shards of every part that there may be, in order: compacted ones, and one for each other shard."""
    spans: list[Span] = []
    shard = 0
    for first, last in compacted:
        spans += [(single, single) for single in range(shard, first)] + [(first, last)]
        shard = last + 1
    return spans + [(single, single) for single in range(shard, shards)]


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


def read_part(storage: Storage, span: Span) -> pa.Table | None:
    """The part of these shards; None if there is none.

    Raises:
        CorruptDataError: it is damaged, or holds other shards.
    """
    name = manifest_part(*span)
    try:
        data = storage.get(name)
    except NotFoundError:
        return None
    table = part_from_bytes(data, name)
    shards = np.unique(table["shard"].to_numpy()).tolist()
    if shards != list(range(span[0], span[1] + 1)):
        raise CorruptDataError(f"{name} in {storage.url} does not hold the shards of its name.")
    return table


def part_to_bytes(table: pa.Table) -> bytes:
    """A part as it is stored: Parquet with a checksum before its footer."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    data = sink.getvalue()
    footer = _footer(data)
    return data[:footer] + _MAGIC + crc32c(data).to_bytes(4, "little") + data[footer:]


def part_from_bytes(data: bytes, name: str) -> pa.Table:
    """The rows of a part.

    Raises:
        CorruptDataError: the bytes are not a manifest part, do not match their checksum, or softstore's own
            columns are missing or hold something else.
    """
    footer = _footer(data)
    begin = footer - _CHECKSUM_BYTES
    checksum = data[max(begin, 0) : footer]
    rest = data[: max(begin, 0)] + data[footer:]
    if checksum != _MAGIC + crc32c(rest).to_bytes(4, "little"):
        raise CorruptDataError(f"{name} is damaged: its bytes do not match their checksum.")
    try:
        table = pq.read_table(io.BytesIO(data)).replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise CorruptDataError(f"{name} is damaged: {str(error).partition(chr(10))[0]}") from error
    _check_columns(table.schema, name)
    return table


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
