"""What the commands that fill a store show: a bar or lines of JSON while they run, a sentence at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from softstore.commands.bar import run_bar
from softstore.commands.history import skipped_lines
from softstore.commands.json_lines import json_lines
from softstore.filling import Summary
from softstore.progress import Progress, silent


class ProgressMode(StrEnum):
    """What is shown of a run while it lasts."""

    BAR = "bar"
    QUIET = "quiet"
    JSON = "json"


ProgressOption = Annotated[
    ProgressMode,
    typer.Option(
        "--progress",
        help="bar: a progress bar, on terminals; json: a JSON object a line, on stderr; quiet: nothing.",
    ),
]


def reporting(what: str, console: Console, *, mode: ProgressMode) -> AbstractContextManager[Progress]:
    """Shows how far a run is, while the context lasts.

    Args:
        what: the run does, such as "Generating".
        console: to draw a bar on.
    """
    if mode is ProgressMode.BAR and console.is_interactive:
        return run_bar(what, console)
    return json_lines() if mode is ProgressMode.JSON else nullcontext(silent)


def sentence(summary: Summary) -> str:
    """What a run did, in console markup."""
    return "\n".join(_sentences(summary))


def _sentences(summary: Summary) -> Iterator[str]:
    skipped, elsewhere = len(summary.skipped), summary.elsewhere
    # Another run, or a worker of this one that was lost before it could say so.
    others = f" {elsewhere:,} were stored meanwhile by others." if elsewhere else ""
    if summary.utterances:
        before = f" {summary.present:,} were there before." if summary.present else ""
        speed = summary.frames / max(summary.seconds, 1e-9)
        yield (
            f"Stored {_count(summary.utterances, 'utterance')}, {_count(summary.frames, 'frame')}, "
            f"{_count(summary.shards, 'shard')}, {decimal(summary.bytes)} in {summary.seconds:.1f} s "
            f"({speed:,.0f} frames/s).{before}{others}"
        )
    elif elsewhere or skipped:
        yield f"Stored nothing: {summary.present:,} utterances were there before.{others}"
    else:
        yield f"Nothing to do: all {summary.present:,} utterances are stored already."
    if skipped:
        yield f"Skipped {_count(skipped, 'utterance')}, run this again to try once more:"
        yield from skipped_lines(summary.skipped, "see `softstore info`")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
