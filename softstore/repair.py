"""Put right what `softstore.verify` found; no other shard is touched, whenever a repair is stopped.

A shard of a store that is damaged anywhere goes as a whole, with what of it was sound, to be made again by
whatever made the store. It is re-opened: first the root says that it need not be there any more (and asks
for manifest parts without it, and for no index of its ids), then its part is deleted, then its objects.
Stopped in between, it is either still published, and found again, or its leftovers are orphans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pyarrow.compute as pc

from softstore.checks.manifest import check_parts
from softstore.checks.orphans import find_orphans
from softstore.checks.report import FaultKind, Report
from softstore.errors import CorruptDataError, StorageError
from softstore.format import ROOT_METADATA, Attributes, Complete, IdIndex, manifest_part, shard_object
from softstore.metadata import metadata_objects
from softstore.parts import (
    Span,
    holds,
    list_parts,
    part_spans,
    part_to_bytes,
    read_attributes,
    read_part,
)
from softstore.storage import Storage
from softstore.writer import update_attributes


def repair(storage: Storage, report: Report) -> None:
    """Put right what can be, and add a sentence for each to ``report.repaired``.

    Nothing else may write meanwhile. What the report lists and cannot be put right stays as it is.

    Raises:
        StorageError: the storage refused; what was done until then is done, repair again.
    """
    if report.attributes is None:
        return
    _rewrite_metadata(storage, report)
    if any(fault.kind == FaultKind.INDEX for fault in report.faults):
        update_attributes(storage, {"id_index": None})
        report.repaired.append("Dropped the index of ids: `softstore compact` makes it again.")
    if report.reopen:
        _reopen(storage, report)
    _sweep(storage, report)


def _rewrite_metadata(storage: Storage, report: Report) -> None:
    if report.unlisted:
        listing = list_parts(read_attributes(storage), report.unlisted)
        update_attributes(storage, {"compacted": listing.compacted, "shards": listing.shards})
        names = ", ".join(manifest_part(*span) for span in report.unlisted)
        report.repaired.append(f"Listed {names} in {ROOT_METADATA} again.")
    objects = metadata_objects(read_attributes(storage))
    for fault in report.faults:
        if fault.kind == FaultKind.METADATA or (fault.kind == FaultKind.ROOT and not report.unlisted):
            storage.put(fault.path, objects[fault.path])
            report.repaired.append(f"Rewrote {fault.path}.")


def _reopen(storage: Storage, report: Report) -> None:
    attributes, lost = read_attributes(storage), report.reopen
    dropped = _utterances(storage, attributes, lost)
    broken = [span for span in attributes.compacted if _overlaps(span, lost)]
    compacted = [span for span in attributes.compacted if span not in broken]
    for span in broken:
        rest = list(_without(span, lost))
        _split(storage, span, rest)
        compacted += [part for part in rest if part[0] < part[1]]
        for shard in lost & set(range(span[0], span[1] + 1)):
            # What a compaction left that was stopped would come back to life.
            storage.delete(manifest_part(shard, shard))
    compacted.sort()
    update_attributes(storage, {"compacted": compacted, **_remaining(storage, attributes, compacted, lost)})
    for span in [*broken, *((shard, shard) for shard in sorted(lost))]:
        storage.delete(manifest_part(*span))
    for shard in sorted(lost):
        for track, spec in attributes.tracks.items():
            storage.delete(shard_object(track, spec, shard))
        utterances = dropped.get(shard, "all of its utterances")
        report.repaired.append(
            f"Re-opened shard {shard}, which drops {utterances}: let whatever made the store "
            "(`softstore generate`, `softstore recode`, or your own recorder) make them again."
        )


def _utterances(storage: Storage, attributes: Attributes, lost: set[int]) -> dict[int, str]:
    """How many there are in each shard whose part can be read."""
    found: Counter[int] = Counter()
    for span in part_spans(attributes.compacted, attributes.shards):
        if _overlaps(span, lost):
            with suppress(CorruptDataError):
                table = read_part(storage, span)
                found.update([] if table is None else table["shard"].to_pylist())
    return {shard: "1 utterance" if count == 1 else f"{count:,} utterances" for shard, count in found.items()}


def _split(storage: Storage, span: Span, rest: list[Span]) -> None:
    """Write parts of some shards of a compacted one."""
    for first, last in rest:
        table = read_part(storage, span)
        if table is None:
            raise CorruptDataError(f"{manifest_part(*span)} in {storage.url} is gone: verify it again.")
        rows = table.filter(
            pc.and_(pc.greater_equal(table["shard"], first), pc.less_equal(table["shard"], last))
        )
        storage.put(manifest_part(first, last), part_to_bytes(rows))
        if read_part(storage, (first, last)) is None:
            raise StorageError(f"{storage.url} lost {manifest_part(first, last)}, which was just written.")


def _remaining(
    storage: Storage, attributes: Attributes, compacted: list[Span], lost: set[int]
) -> dict[str, Complete | IdIndex | None]:
    """What a finished run is said to have left, and the ids to be indexed, without the lost shards."""
    complete, index = attributes.complete, attributes.id_index
    covered = [run for span in index.shards for run in _without(span, lost)] if index else []
    utterances = frames = indexed = 0
    for span in part_spans(compacted, attributes.shards):
        table = None if span[0] in lost else read_part(storage, span, ("shard", "num_frames"))
        if table is not None:
            utterances += len(table)
            frames += int(np.sum(table["num_frames"].to_numpy(), dtype=np.int64))
            indexed += sum(holds(covered, (shard, shard)) for shard in table["shard"].to_pylist())
    return {
        "complete": complete
        and Complete(shards=min(complete.shards, *lost), utterances=utterances, frames=frames),
        "id_index": index and index.model_copy(update={"shards": covered, "utterances": indexed}),
    }


def _sweep(storage: Storage, report: Report) -> None:
    """Delete orphans, those that the repair itself made included."""
    attributes, now = read_attributes(storage), Report(storage.url)
    now.attributes = attributes
    find_orphans(storage, attributes, check_parts(storage, attributes, now), now)
    for orphan in now.orphans:
        storage.delete(orphan.path)
        report.repaired.append(f"Deleted {orphan.path}, which nothing referred to.")


def _overlaps(span: Span, shards: set[int]) -> bool:
    return any(span[0] <= shard <= span[1] for shard in shards)


def _without(span: Span, shards: set[int]) -> Iterator[Span]:
    """The runs of other shards in a span."""
    begin = span[0]
    for shard in [*sorted(shard for shard in shards if span[0] <= shard <= span[1]), span[1] + 1]:
        if begin < shard:
            yield begin, shard - 1
        begin = shard + 1
