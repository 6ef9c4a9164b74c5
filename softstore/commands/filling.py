"""What the commands that fill a store show: a bar while they run, and a sentence at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from softstore.filling import Progress, Summary


@contextmanager
def frames_bar(what: str, console: Console) -> Iterator[Progress]:
    """A progress bar of frames, with their speed, while the context lasts."""
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames · {task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        # Until the first frames are stored, a codec may be fitted to a sample.
        task = bar.add_task("Getting ready", total=None, speed="")

        def show(done: int, total: int) -> None:
            speed = bar.tasks[task].finished_speed or bar.tasks[task].speed
            shown = f"{speed:,.0f}/s" if speed else ""
            bar.update(task, description=what, completed=done, total=total, speed=shown)

        yield show


def sentence(summary: Summary) -> str:
    """What a run did."""
    if not summary.shards:
        return f"Nothing to do: all {summary.present:,} utterances are stored already."
    before = f" {summary.present:,} were there before." if summary.present else ""
    speed = summary.frames / summary.seconds
    return (
        f"Stored {summary.utterances:,} utterances, {summary.frames:,} frames, {summary.shards} shards "
        f"in {summary.seconds:.1f} s ({speed:,.0f} frames/s).{before}"
    )
