"""Checks of the manifest: parts that must be there, and rows that must make sense."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from softstore.checks.report import FaultKind, Report
from softstore.errors import ConflictError, CorruptDataError
from softstore.format import FIRST_OVERFLOW, NUM_OVERFLOW, Attributes, manifest_part, shard_object
from softstore.manifest import OF_A_SHARD
from softstore.parts import Span, list_parts, part_spans, read_attributes, read_part
from softstore.storage import Storage

_REQUESTS = 16
_ROUNDING = 1e-5
"""Of means and sums in float32."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the manifest says is there.

    Attributes:
        shards: the rows of each shard whose part can be read.
        spans: every manifest part that a reader asks for.
        unreadable: shards that were published, but whose part is gone or damaged.
    """

    shards: dict[int, pa.Table]
    spans: list[Span]
    unreadable: set[int]


def check_parts(
    storage: Storage, attributes: Attributes, report: Report, unlisted: Sequence[Span] = ()
) -> Published:
    """Read every part; missing and damaged ones are faults of their shards.

    Args:
        unlisted: merged parts that are to be read as if the root listed them.

    Raises:
        ConflictError: the store was compacted meanwhile.
    """
    listing = list_parts(attributes, unlisted)
    known = list(part_spans(listing.compacted, listing.shards))

    def read(span: Span) -> pa.Table | CorruptDataError | None:
        try:
            return read_part(storage, span)
        except CorruptDataError as error:
            return error

    with ThreadPoolExecutor(_REQUESTS) as pool:
        found = list(pool.map(read, known))
    if None in found and read_attributes(storage).compacted != attributes.compacted:
        raise ConflictError(f"{storage.url} was compacted while it was verified: verify it again.")
    complete = attributes.complete.shards if attributes.complete else 0
    published = Published({}, [], set())
    for span, table in zip(known, found, strict=True):
        path, shards = manifest_part(*span), range(span[0], span[1] + 1)
        if isinstance(table, pa.Table):
            report.checked.parts += 1
            published.spans.append(span)
            published.shards.update(by_shard(table))
        elif table is not None:
            published.spans.append(span)
            report.add(FaultKind.PART, path, str(table), shards)
            published.unreadable.update(shards)
        elif span in listing.compacted or span[1] < complete:
            report.add(FaultKind.PART, path, f"{path} is missing, although it had been published.", shards)
            published.unreadable.update(shards)
        else:
            report.checked.unpublished += 1
    return published


def check_rows(attributes: Attributes, published: Published, report: Report) -> None:
    """Ids, spans, objects and certificate of every row, and their number."""
    for shard, rows in published.shards.items():
        report.checked.shards += 1
        report.checked.utterances += len(rows)
        for what in _faults(shard, rows, attributes):
            path = _part_of(shard, published.spans)
            report.add(FaultKind.MANIFEST, path, f"{path}, shard {shard}: {what}.", [shard])
            break  # What else is wrong there often follows from the first.
        else:
            report.checked.frames += int(pc.sum(rows["num_frames"]).as_py())
    _check_ids(published, report)
    complete, checked = attributes.complete, report.checked
    if complete and not report.damaged and checked.frames < complete.frames:
        report.add(
            FaultKind.PART,
            "manifest",
            f"There are {checked.utterances:,} utterances of {checked.frames:,} frames, a finished run had "
            f"left {complete.utterances:,} of {complete.frames:,}: later shards are gone.",
            [complete.shards],
        )


def by_shard(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """A part's rows, cut where another shard begins; a shard in two pieces shows in its objects column."""
    shards = table["shard"].to_numpy()
    begins = np.flatnonzero(np.diff(shards, prepend=-1))
    for begin, end in zip(begins, [*begins[1:], len(shards)], strict=True):
        yield int(shards[begin]), table.slice(begin, end - begin)


def _part_of(shard: int, spans: Sequence[Span]) -> str:
    return next(manifest_part(*span) for span in spans if span[0] <= shard <= span[1])


def _faults(shard: int, rows: pa.Table, attributes: Attributes) -> Iterator[str]:
    for name in ("utterance_id", "first_frame", "num_frames"):
        if rows[name].null_count:
            yield f"a row has no {name}"
    yield from _misplaced(shard, rows, attributes)
    ragged = next((spec for spec in attributes.tracks.values() if spec.ragged), None)
    if ragged is not None:
        yield from _misplaced_overflow(rows, shard, ragged.shard_rows(attributes.shard_frames))
    yield from _wrong_objects(shard, rows, attributes)
    if attributes.kind == "soft_targets":
        yield from _wrong_certificate(rows, attributes)


def _misplaced(shard: int, rows: pa.Table, attributes: Attributes) -> Iterator[str]:
    first = rows["first_frame"].to_numpy() - shard * attributes.shard_frames
    frames = rows["num_frames"].to_numpy()
    blocks = -(-frames.astype(np.int64) // attributes.block_frames)
    end = first + blocks * attributes.block_frames
    ids = rows["utterance_id"]
    for wrong, what in (
        (frames < 1, "has no frames"),
        (first % attributes.block_frames != 0, "does not begin with a block"),
        ((first < 0) | (end > attributes.shard_frames), "does not lie in its shard"),
        (np.concatenate([[False], first[1:] < end[:-1]]), "overlaps the one before it"),
    ):
        if wrong.any():
            yield f"utterance {ids[int(wrong.argmax())].as_py()!r} {what}"


def _misplaced_overflow(rows: pa.Table, shard: int, shard_rows: int) -> Iterator[str]:
    """Rows of ragged tracks lie one utterance after another, from the shard's first on."""
    if not {FIRST_OVERFLOW, NUM_OVERFLOW} <= set(rows.column_names):
        yield f"it has no columns {FIRST_OVERFLOW} and {NUM_OVERFLOW}"
        return
    count = rows[NUM_OVERFLOW].to_numpy()
    end = np.cumsum(count)
    wrong = (count < 0) | (end > shard_rows)
    wrong |= rows[FIRST_OVERFLOW].to_numpy() != shard * shard_rows + end - count
    if wrong.any():
        utterance_id = rows["utterance_id"][int(wrong.argmax())].as_py()
        yield f"the exact values of utterance {utterance_id!r} are misplaced"


def _wrong_objects(shard: int, rows: pa.Table, attributes: Attributes) -> Iterator[str]:
    for name in OF_A_SHARD:
        if not rows[name][0].is_valid or rows[name].null_count != len(rows) - 1:
            yield f"its {name} are not all in its first row"
            return
    listed = {entry["path"] for entry in rows["objects"][0].as_py()}
    expected = {shard_object(track, spec, shard) for track, spec in attributes.tracks.items()}
    if listed != expected:
        path = min(listed ^ expected)
        yield (
            f"it lists {path}, which is no object of this shard"
            if path in listed
            else f"{path} is not listed"
        )


def _wrong_certificate(rows: pa.Table, attributes: Attributes) -> Iterator[str]:
    frames = int(rows["num_frames"].to_numpy().sum())
    temperatures = attributes.certificate_temperatures
    histograms = {entry["temperature"]: entry["frames"] for entry in rows["kl_histogram"][0].as_py()}
    bounds = {"entropy": math.log(attributes.class_count) * (1 + _ROUNDING)}
    for temperature in temperatures:
        bounds |= {f"mean_kl_t{temperature:g}": math.inf, f"max_kl_t{temperature:g}": math.inf}
    for name, highest in bounds.items() if temperatures else ():
        if name not in rows.column_names:
            yield f"the certificate has no {name}"
            return
        values = rows[name].to_numpy().astype(float)
        if not (np.isfinite(values) & (values > -_ROUNDING) & (values <= highest)).all():
            yield f"the certificate's {name} is not a number that it can be"
    for temperature in temperatures:
        mean, worst = (rows[f"{name}_kl_t{temperature:g}"].to_numpy() for name in ("mean", "max"))
        if (mean > worst * (1 + _ROUNDING) + _ROUNDING).any():
            yield f"the mean divergence at T = {temperature:g} is larger than the largest"
        if sum(histograms.get(temperature, ())) != frames:
            yield f"the histogram of divergence at T = {temperature:g} is not of its {frames} frames"


def _check_ids(published: Published, report: Report) -> None:
    ids = pa.table({name: _column(published, name) for name in ("utterance_id", "shard")})
    counts = ids.group_by("utterance_id").aggregate([("shard", "count"), ("shard", "max")])
    for row in counts.filter(pc.greater(counts["shard_count"], 1)).to_pylist():
        name, shard = row["utterance_id"], row["shard_max"]
        path = _part_of(shard, published.spans)
        report.add(FaultKind.MANIFEST, path, f"{path}: utterance {name!r} is there twice.", [shard], name)


def _column(published: Published, name: str) -> pa.ChunkedArray:
    chunks = [chunk for rows in published.shards.values() for chunk in rows[name].chunks]
    return pa.chunked_array(chunks, pa.string() if name == "utterance_id" else pa.int32())
