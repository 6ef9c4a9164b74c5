"""`softstore info`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from softstore.codecs import CODECS, Transform
from softstore.commands.history import print_history
from softstore.corpus import Corpus
from softstore.format import Divergence
from softstore.frames import Frames
from softstore.inventory import SplitSize, inventory
from softstore.storage import open_storage
from softstore.store import Store
from softstore.store_certificate import KlSummary


def info(
    url: Annotated[str, typer.Argument(help="Store or corpus: a path or URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a store or corpus holds, and who made it: sizes, bytes per frame by track, certificate, runs.

    The certificate was measured on the stored bytes: how far decoded posteriors are from the teacher's own,
    or, in a store that was recoded, from those of the store it was made from, whose own loss stands above.

        softstore info runs/demo/store
    """
    frames = Frames(open_storage(url))
    opened = Store(frames) if frames.attributes.kind == "soft_targets" else Corpus(frames)
    if as_json:
        typer.echo(json.dumps(describe(opened), indent=2, ensure_ascii=False))
    else:
        console = Console()
        print_info(opened, console)
        print_history(opened.attributes, console)


def describe(opened: Store | Corpus) -> dict[str, Any]:
    """Everything `softstore info` knows, as JSON values."""
    described = {
        "url": opened.url,
        **opened.attributes.model_dump(mode="json"),
        **dataclasses.asdict(inventory(opened.frames)),
    }
    if isinstance(opened, Store):
        against = "source" if opened.attributes.recoded_from else "teacher"
        described["certificate"] = {"against": against, **dataclasses.asdict(opened.certificate())}
    return described


def print_info(opened: Store | Corpus, console: Console) -> None:
    """The same for people."""
    held, attributes = inventory(opened.frames), opened.attributes
    what = "Soft targets" if isinstance(opened, Store) else "Corpus"
    console.print(
        f"[bold]{what}[/] {escape(opened.url)}: {held.utterances:,} utterances, {held.frames:,} frames "
        f"({held.hours:.2f} h), {attributes.class_count:,} classes, {held.shards} shards",
        highlight=False,
        soft_wrap=True,
    )
    if not attributes.is_finished(held.shards):
        console.print(f"[yellow]Unfinished: {held.shards} of {attributes.shards} shards are published.[/]")
    console.print(
        _splits(held.splits, attributes.frame_shift), _tracks(held.track_bytes, max(held.frames, 1))
    )
    if isinstance(opened, Store):
        if held.target_bytes_per_frame and held.ratio_to_float32:
            once = f", and {held.codec_bytes:,} bytes once for the codec" if held.codec_bytes else ""
            console.print(
                f"Soft targets ({opened.codec.name}): {held.target_bytes_per_frame:.1f} bytes a frame, "
                f"{held.ratio_to_float32:.1f} times smaller than float32{once}.",
                highlight=False,
            )
        _print_losses(opened, console)


def _splits(splits: dict[str, SplitSize], frame_shift: float) -> Table:
    table = Table("split", title="Utterances", title_justify="left")
    for heading in ("utterances", "speakers", "frames", "hours"):
        table.add_column(heading, justify="right")
    for name, size in splits.items():
        hours = size.frames * frame_shift / 3600
        table.add_row(
            escape(name), f"{size.utterances:,}", f"{size.speakers:,}", f"{size.frames:,}", f"{hours:.2f}"
        )
    return table


def _tracks(track_bytes: dict[str, int], frames: int) -> Table:
    table = Table("track", title="Bytes on disk", title_justify="left")
    for heading in ("bytes", "bytes/frame"):
        table.add_column(heading, justify="right")
    for track, size in track_bytes.items():
        table.add_row(track, f"{size:,}", f"{size / frames:.1f}")
    return table


def _print_losses(store: Store, console: Console) -> None:
    """The certificate, below those of the stores that this one was recoded from."""
    before = "teacher"
    for number, source in enumerate(store.attributes.recoded_from, 1):
        codec = str(source.codec.get("name"))
        title = f"Loss of generation {number} ({escape(codec)}): KL({before} ‖ generation {number}) in nats"
        console.print(divergence_table(title, source.certificate))
        before = f"generation {number}"
        if codec in CODECS and not CODECS[codec].full_support:
            console.print(
                f"Of {before} only what decodes at T = 1 was taken, and is softened from there on: its "
                "own losses at other temperatures say nothing of what comes after it.",
                highlight=False,
            )
    title = f"Certificate: KL({before} ‖ stored) in nats, measured on the stored bytes"
    measured = store.certificate().kl
    console.print(divergence_table(title, measured))
    _print_shortfall(store, measured, console)
    if store.attributes.recoded_from:
        console.print(
            f"Recoded: measured against what {before} decodes to at T = 1, softened. The losses do not add "
            "up: KL has no triangle inequality, so how far this store is from the teacher may be more than "
            "their sum, and was not measured.",
            highlight=False,
        )


def _print_shortfall(store: Store, measured: Sequence[KlSummary], console: Console) -> None:
    """A codec is fitted to a sample: say so where the whole turned out to be less kind."""
    asked = store.codec.asked.get("max_mean_kl") if isinstance(store.codec, Transform) else None
    worst = max(measured, key=lambda row: row.mean, default=None)
    if asked is not None and worst is not None and worst.mean > asked:
        console.print(
            f"[yellow]A mean of at most {asked:g} was asked for, and kept on the sample; at T = "
            f"{worst.temperature:g} it is {worst.mean:.2e}. Ask for less, or --max-kl, in a new store.[/]",
            highlight=False,
            soft_wrap=True,
        )


def divergence_table(title: str, rows: Sequence[KlSummary | Divergence]) -> Table:
    """One row a temperature."""
    table = Table("T", title=title, title_justify="left")
    for heading in ("mean", "p99.9", "max"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(f"{row.temperature:g}", f"{row.mean:.2e}", f"{row.p999:.2e}", f"{row.max:.2e}")
    return table
