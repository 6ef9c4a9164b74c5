"""Merge manifest parts, so that a store of thousands of shards opens with a few requests.

The order makes every moment safe: merged parts are written beside what they replace, one put of the root
makes readers ask for them, and only then are the replaced parts deleted. A run that dies leaves parts that
nobody asks for; the next run takes up where it stopped.

A writer at work may put a root that it had made before over the one that lists the merged parts, when what
they replace is gone already: then nothing can be opened until `softstore.repair` lists them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from softstore import format as layout
from softstore.errors import ConflictError, CorruptDataError, StorageError
from softstore.manifest import join
from softstore.parts import Span, part_of_path, part_to_bytes, read_attributes, read_part
from softstore.storage import Storage
from softstore.writer import update_attributes


@dataclass(frozen=True, slots=True)
class Compaction:
    """What one run did.

    Attributes:
        shards: published.
        before, after: manifest parts that a reader asks for.
        deleted: objects that nobody asks for any more.
    """

    shards: int
    before: int
    after: int
    deleted: int


def compact(storage: Storage, max_shards: int | None = None) -> Compaction:
    """Merge manifest parts of neighbouring shards into parts of at most ``max_shards`` (None: any number).

    Readers may go on meanwhile. No writer may be at work, nor a second compaction.

    Raises:
        ConflictError: somebody else wrote to the store meanwhile; not every writer is noticed.
        CorruptDataError: a part is damaged; nothing was deleted.
    """
    attributes = read_attributes(storage)
    parts = _wanted(_parts(storage, attributes.shards), attributes.compacted)
    groups = _groups(parts, max_shards)
    for group in groups:
        if len(group) > 1:
            _merge(storage, group)
    spans = [(group[0][0], group[-1][1]) for group in groups]
    compacted = [(first, last) for first, last in spans if first < last]
    if compacted != attributes.compacted:
        _agree(storage, attributes.compacted)
        update_attributes(storage, {"compacted": compacted})
        # A writer that had read the root before may have put its own view of it over ours.
        _agree(storage, compacted)
    replaced = [span for span in _parts(storage, attributes.shards) if _is_replaced(span, compacted)]
    for span in replaced:
        storage.delete(layout.manifest_part(*span))
    shards = sum(last - first + 1 for first, last in spans)
    return Compaction(shards, len(parts), len(spans), len(replaced))


def _parts(storage: Storage, shards: int) -> list[Span]:
    """Every manifest part of the first ``shards`` that lies there, by its name."""
    spans = (part_of_path(path) for path, _ in storage.walk(layout.MANIFEST))
    return sorted(span for span in spans if span and span[1] < shards)


def _wanted(parts: Sequence[Span], compacted: Sequence[Span]) -> list[Span]:
    """Those that readers ask for, in order."""
    singles = [span for span in parts if span[0] == span[1] and not _is_replaced(span, compacted)]
    return sorted([*singles, *compacted])


def _is_replaced(span: Span, compacted: Sequence[Span]) -> bool:
    return any(first <= span[0] and span[1] <= last and span != (first, last) for first, last in compacted)


def _groups(parts: Sequence[Span], max_shards: int | None) -> list[list[Span]]:
    """Neighbours that become one part; a shard that is not published stays outside of all."""
    groups: list[list[Span]] = []
    for span in parts:
        if groups and groups[-1][-1][1] + 1 == span[0] and _fits(groups[-1][0][0], span[1], max_shards):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _fits(first: int, last: int, max_shards: int | None) -> bool:
    return max_shards is None or last - first < max_shards


def _merge(storage: Storage, group: Sequence[Span]) -> None:
    tables = []
    for span in group:
        table = read_part(storage, span)
        if table is None:
            raise CorruptDataError(f"{layout.manifest_part(*span)} is missing in {storage.url}: restore it.")
        tables.append(table)
    merged = layout.manifest_part(group[0][0], group[-1][1])
    storage.put(merged, part_to_bytes(join(tables)))
    # What it replaces will be deleted: see that it really lies there.
    if read_part(storage, (group[0][0], group[-1][1])) is None:
        raise StorageError(f"{storage.url} lost {merged}, which was just written; nothing was deleted.")


def _agree(storage: Storage, compacted: Sequence[Span]) -> None:
    if read_attributes(storage).compacted != compacted:
        raise ConflictError(
            f"{storage.url} was changed while it was compacted: run `softstore compact` again."
        )
