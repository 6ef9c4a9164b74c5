"""`softstore compact`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from softstore.compact import PART_SHARDS, Compaction
from softstore.compact import compact as run
from softstore.storage import open_storage


def compact(
    store: Annotated[str, typer.Argument(help="Store or corpus: a path or s3:// URL.")],
    max_shards: Annotated[
        int,
        typer.Option(min=2, help="Shards in one manifest part at most."),
    ] = PART_SHARDS,
) -> None:
    """Merge the manifest parts of a store, so that it opens with a few requests, and index a large one.

    Every shard is published with a manifest part of its own, and opening a store asks for each of them.
    Compact a store that has grown to hundreds of shards: it gets an index of its utterance ids, too, with
    which one of them is found among millions without reading the manifest. It may be read and added to all
    the while, but only one such run may be at work. If it is stopped, nothing is lost: run it again.

        softstore compact runs/demo/store
    """
    Console().print(_sentence(run(open_storage(store), max_shards)), highlight=False)


def _sentence(done: Compaction) -> str:
    indexed = f" Indexed {done.indexed:,} utterance ids." if done.indexed else ""
    deleted = f"{indexed} Deleted {done.deleted:,} objects that were replaced." if done.deleted else indexed
    parts = f"{done.after:,} manifest parts" if done.after != 1 else "1 manifest part"
    if done.before == done.after:
        return f"Nothing to merge: {done.shards:,} shards in {parts}.{deleted}"
    return f"Merged {done.before:,} manifest parts into {done.after:,}: {done.shards:,} shards.{deleted}"
