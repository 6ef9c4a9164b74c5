"""`softstore plan`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from softstore.commands.codec_options import (
    CodecName,
    CodecOption,
    KOption,
    MaxKlOption,
    MaxMeanKlOption,
    RankOption,
    StepOption,
    chosen_codec,
)
from softstore.commands.durations import duration
from softstore.commands.info import divergence_table
from softstore.corpus import Corpus
from softstore.errors import NotFoundError
from softstore.forecast import TRIAL_FRAMES, Forecast, forecast
from softstore.format import CHUNK_FRAMES, SHARD_FRAMES
from softstore.storage import Storage, open_storage
from softstore.teacher import load_teacher


def plan(
    corpus: Annotated[str, typer.Argument(help="Corpus to run the teacher over: a path or URL.")],
    teacher: Annotated[str, typer.Option(help="The teacher, as for `softstore generate`.")],
    store: Annotated[
        str | None, typer.Option(help="Where the store is, or is to be: what it has is not counted again.")
    ] = None,
    codec: CodecOption = CodecName.TRANSFORM,
    max_mean_kl: MaxMeanKlOption = None,
    max_kl: MaxKlOption = None,
    step: StepOption = None,
    rank: RankOption = None,
    k: KOption = None,
    shard_frames: Annotated[int, typer.Option(min=1, help="Frames in one shard.")] = SHARD_FRAMES,
    chunk_frames: Annotated[int, typer.Option(min=1, help="Frames in one chunk of a shard.")] = CHUNK_FRAMES,
    device: Annotated[str, typer.Option(help="What the teacher runs on: cpu, cuda, cuda:1, …")] = "cpu",
    sample_frames: Annotated[int, typer.Option(min=1, help="Frames of the trial.")] = TRIAL_FRAMES,
    workers: Annotated[int, typer.Option(min=1, help="Foretell the time on so many workers, too.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Foretell what `softstore generate` will take and give: bytes, shards, hours, and fidelity.

    The codec is fitted as it would be. Then a few other utterances are run through the teacher, encoded,
    certified and made into shards, in memory: nothing is written. Give the options you will give to
    `softstore generate`.

        softstore plan runs/demo/corpus --teacher runs/demo/teacher --workers 8
        softstore plan runs/demo/corpus --teacher runs/demo/teacher --max-mean-kl 0.05 --json
    """
    found = forecast(
        Corpus.open(corpus),
        load_teacher(teacher, device=device),
        chosen_codec(codec, k=k, max_mean_kl=max_mean_kl, max_kl=max_kl, step=step, rank=rank),
        shard_frames=shard_frames,
        chunk_frames=chunk_frames,
        device=device,
        sample_frames=sample_frames,
        storage=None if store is None else _there(store),
    )
    if as_json:
        typer.echo(json.dumps(described(found, workers), indent=2))
    else:
        _print(found, workers, device, Console())


def _there(store: str) -> Storage | None:
    try:
        return open_storage(store)
    except NotFoundError:
        return None


def described(found: Forecast, workers: int) -> dict[str, Any]:
    """A forecast as JSON values."""
    return dataclasses.asdict(found) | {
        "bytes": found.bytes,
        "target_bytes_per_frame": found.target_bytes_per_frame,
        "seconds": found.seconds(),
        "workers": workers,
        "seconds_on_workers": found.seconds(workers),
    }


def _print(found: Forecast, workers: int, device: str, console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    if not found.utterances:
        say(f"Nothing to do: all {found.present:,} utterances are stored already.")
        return
    say(
        f"To store: {found.utterances:,} utterances, {found.frames:,} frames ({found.hours:,.2f} h) in "
        f"{found.shards:,} shards; {found.present:,} utterances are stored already."
    )
    say(f"Foretold from a trial with {found.sample_utterances:,} utterances, {found.sample_frames:,} frames.")
    console.print(_bytes(found))
    fitting = f", after {duration(found.fit_seconds)} of fitting the codec" if found.fit_seconds else ""
    say(
        f"Time: {duration(found.seconds())} on this {device}, at {found.frames_per_second:,.0f} frames/s"
        f"{fitting}. What disk or network take to write is not in it."
    )
    if workers > 1:
        say(
            f"      {duration(found.seconds(workers))} on {workers} workers, each as fast as this process "
            "with the machine to itself: reckoned, not measured."
        )
    seen = "utterances that the codec was not fitted to" if found.unknown else "what the codec was fitted to"
    console.print(divergence_table(f"Fidelity: KL(teacher ‖ stored) in nats, on {seen}", found.kl))


def _bytes(found: Forecast) -> Table:
    table = Table("", title="Bytes to be written", title_justify="left")
    for heading in ("bytes", "bytes/frame"):
        table.add_column(heading, justify="right")
    sizes = {
        **found.track_bytes,
        "codec, once": found.codec_bytes,
        "manifest and metadata": found.manifest_bytes,
        "all": found.bytes,
    }
    for what, size in sizes.items():
        table.add_row(what, f"{size:,}", f"{size / found.frames:.1f}")
    return table
