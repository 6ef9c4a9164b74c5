"""Merged manifest parts that the root should list and does not, because somebody wrote during a compaction.

A writer that had read the root before the compaction put its own over it, and the parts that were merged are
gone: shards seem lost, or never written, although everything of theirs is there.
"""

from __future__ import annotations

import pyarrow as pa

from softstore.checks.manifest import by_shard, check_parts
from softstore.checks.report import FaultKind, Report
from softstore.errors import ConflictError, CorruptDataError, NotFoundError
from softstore.format import MANIFEST, ROOT_METADATA, Attributes, manifest_part, shard_object
from softstore.manifest import OF_A_SHARD, PLACEMENT
from softstore.parts import Span, list_parts, part_of_path, read_attributes, read_part
from softstore.sharding import sha256
from softstore.storage import Storage


def check_listing(storage: Storage, attributes: Attributes, report: Report) -> None:
    """Note merged parts that hold shards which are lost without them; they need a listing, so not over HTTP.

    Raises:
        ConflictError: the store was compacted meanwhile.
    """
    if storage.url.startswith(("http://", "https://")):
        return
    spans = (part_of_path(path) for path, _ in storage.walk(MANIFEST))
    merged = [span for span in spans if span and span[0] < span[1] and span not in attributes.compacted]
    if not merged:
        return
    known = check_parts(storage, attributes, Report(storage.url)).shards
    for span in sorted(merged, key=lambda span: span[0] - span[1]):
        listed = list_parts(attributes, report.unlisted).compacted
        if _fits(span, listed) and _recovers(storage, attributes, span, known):
            report.unlisted.append(span)
            report.add(
                FaultKind.ROOT,
                ROOT_METADATA,
                f"{ROOT_METADATA} does not list {manifest_part(*span)}, without which shards are lost: "
                "something wrote to the store while it was compacted.",
            )
    if report.unlisted and read_attributes(storage).compacted != attributes.compacted:
        raise ConflictError(f"{storage.url} was compacted while it was verified: verify it again.")


def _fits(span: Span, listed: list[Span]) -> bool:
    """Parts that are listed lie inside or outside, and none holds all of it."""
    return all(
        last < span[0] or span[1] < first or (span[0] <= first and last <= span[1]) for first, last in listed
    )


def _recovers(storage: Storage, attributes: Attributes, span: Span, known: dict[int, pa.Table]) -> bool:
    """Whether it has a sound shard that is lost without it, and says of others what is known of them."""
    try:
        table = read_part(storage, span)
    except CorruptDataError:
        return False
    if table is None:
        return False
    shards = dict(by_shard(table))
    columns = list(PLACEMENT | OF_A_SHARD)
    if any(
        not rows.select(columns).equals(known[s].select(columns)) for s, rows in shards.items() if s in known
    ):
        return False
    return any(_is_whole(storage, attributes, s, rows) for s, rows in shards.items() if s not in known)


def _is_whole(storage: Storage, attributes: Attributes, shard: int, rows: pa.Table) -> bool:
    entries = rows["objects"][0].as_py() or []
    expected = {shard_object(track, spec, shard) for track, spec in attributes.tracks.items()}
    if {entry["path"] for entry in entries} != expected:
        return False
    try:
        return all(sha256(storage.get(entry["path"])) == entry["sha256"] for entry in entries)
    except NotFoundError:
        return False
