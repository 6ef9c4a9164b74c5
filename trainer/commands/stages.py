"""Stages of long work, as rows of a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


@contextmanager
def stages(
    console: Console, time: ProgressColumn | None = None, *, transient: bool = False
) -> Iterator[Callable[[str, int, int], None]]:
    """What shows a stage when it is called with its name, how much is done, and how much there is.

    Args:
        time: what stands at a row's end; None: the time that has gone by.
        transient: whether the rows go when the work is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, time or TimeElapsedColumn(), console=console, transient=transient) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show
