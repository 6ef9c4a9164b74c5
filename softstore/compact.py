"""Merge manifest parts, so that a store of thousands of shards opens with a few requests, and index its ids.

The order makes every moment safe: merged parts are written beside what they replace, one put of the root
makes readers ask for them, and only then are the replaced parts deleted. That is done for some hundreds of
parts at a time, whatever the size of the store. A run that dies leaves parts that nobody asks for; the next
run takes up where it stopped.

A writer that does not look whether the root is still what it had read may put an older one over that which
lists the merged parts: then nothing can be opened until `softstore.repair` lists them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from softstore import format as layout
from softstore.errors import ConflictError, CorruptDataError, StorageError
from softstore.format import Attributes, IdIndex
from softstore.indexing import is_due, is_stale, write_index
from softstore.manifest import join
from softstore.parts import (
    Span,
    holds,
    list_parts,
    part_of_path,
    part_to_bytes,
    read_attributes,
    read_part,
)
from softstore.storage import Storage
from softstore.writer import update_attributes

PART_SHARDS = 32
"""In one part: few enough that who looks for one utterance can read the part it is in."""

_MERGES = 256
"""Parts that are merged before the root lists them, and what they replace goes."""

_THREADS = 16


@dataclass(frozen=True, slots=True)
class Compaction:
    """What one run did.

    Attributes:
        shards: published.
        before, after: manifest parts that a reader asks for.
        deleted: objects that nobody asks for any more.
        indexed: ids in the index that was written; 0: none was due.
    """

    shards: int
    before: int
    after: int
    deleted: int
    indexed: int


def compact(storage: Storage, max_shards: int = PART_SHARDS) -> Compaction:
    """Merge manifest parts of neighbouring shards into parts of at most ``max_shards``; index ids when due.

    Memory does not grow with the store. Readers and writers may go on meanwhile, a second compaction may not.

    Raises:
        ConflictError: somebody else wrote to the store meanwhile; not every writer is noticed.
        CorruptDataError: a part is damaged; nothing was deleted that is not elsewhere.
    """
    attributes = read_attributes(storage)
    parts = _wanted(_parts(storage, attributes.shards), attributes.compacted)
    groups = _groups(parts, max_shards)
    merges = [group for group in groups if len(group) > 1]
    deleted = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for begin in range(0, len(merges), _MERGES):
            some = merges[begin : begin + _MERGES]
            attributes = _replace(storage, attributes, some, pool)
            replaced = [layout.manifest_part(*span) for group in some for span in group]
            deleted += _delete(storage, replaced, pool)
        shards = sum(group[-1][1] - group[0][0] + 1 for group in groups)
        index = attributes.id_index
        due = is_due(index, shards)
        if due:
            index = write_index(storage, attributes)
        # What runs left that were stopped, and the index before.
        left = [path for path, _ in storage.walk(layout.MANIFEST) if _is_left(path, attributes, index)]
        deleted += _delete(storage, left, pool)
    return Compaction(shards, len(parts), len(groups), deleted, index.utterances if due and index else 0)


def _parts(storage: Storage, shards: int) -> list[Span]:
    """Every manifest part of the first ``shards`` that lies there, by its name."""
    spans = (part_of_path(path) for path, _ in storage.walk(layout.MANIFEST))
    return sorted(span for span in spans if span and span[1] < shards)


def _wanted(parts: Sequence[Span], compacted: Sequence[Span]) -> list[Span]:
    """Those that readers ask for, in order."""
    singles = [span for span in parts if span[0] == span[1] and not holds(compacted, span)]
    return sorted([*singles, *compacted])


def _is_left(path: str, attributes: Attributes, index: IdIndex | None) -> bool:
    span = part_of_path(path)
    if span is None:
        return is_stale(path, index)
    return holds(attributes.compacted, span) and span not in attributes.compacted


def _groups(parts: Sequence[Span], max_shards: int) -> list[list[Span]]:
    """Neighbours that become one part; a shard that is not published stays outside of all."""
    groups: list[list[Span]] = []
    for span in parts:
        last = groups[-1] if groups else None
        if last and last[-1][1] + 1 == span[0] and span[1] - last[0][0] < max_shards:
            last.append(span)
        else:
            groups.append([span])
    return groups


def _replace(
    storage: Storage, attributes: Attributes, groups: Sequence[Sequence[Span]], pool: ThreadPoolExecutor
) -> Attributes:
    """Merge the parts of each group, and let the root list the merged ones."""
    merged = [_merge(storage, group, pool) for group in groups]
    compacted = list_parts(attributes, merged).compacted
    _agree(storage, attributes.compacted)
    attributes = update_attributes(storage, {"compacted": compacted})
    # A writer that had read the root before may have put its own view of it over ours.
    _agree(storage, compacted)
    return attributes


def _merge(storage: Storage, group: Sequence[Span], pool: ThreadPoolExecutor) -> Span:
    def read(span: Span) -> pa.Table:
        table = read_part(storage, span)
        if table is None:
            raise CorruptDataError(f"{layout.manifest_part(*span)} is missing in {storage.url}: restore it.")
        return table

    span = group[0][0], group[-1][1]
    merged = layout.manifest_part(*span)
    storage.put(merged, part_to_bytes(join(list(pool.map(read, group)))))
    # What it replaces will be deleted: see that it really lies there.
    if read_part(storage, span) is None:
        raise StorageError(f"{storage.url} lost {merged}, which was just written; nothing was deleted.")
    return span


def _delete(storage: Storage, paths: Sequence[str], pool: ThreadPoolExecutor) -> int:
    list(pool.map(storage.delete, paths))
    return len(paths)


def _agree(storage: Storage, compacted: Sequence[Span]) -> None:
    if read_attributes(storage).compacted != compacted:
        raise ConflictError(
            f"{storage.url} was changed while it was compacted: run `softstore compact` again."
        )
