"""A progress bar of a run, on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from softstore.commands.durations import duration
from softstore.pace import Pace
from softstore.progress import Phase, Progress, Standing


@contextmanager
def run_bar(what: str, console: Console) -> Iterator[Progress]:
    """A bar of frames with their speed, and a line about everything else; both vanish with the context."""
    with _RunBar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames {task.fields[pace]}"),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("Getting ready", total=None, pace="")
        pace = Pace()

        def show(standing: Standing) -> None:
            pace.tell(standing)
            bar.details = details(standing)
            running = standing.phase is Phase.RUNNING
            bar.update(
                task,
                description=what if running else standing.phase.capitalize(),
                completed=standing.frames,
                total=standing.total_frames or None,
                pace=_pace(pace),
            )

        yield show


class _RunBar(Bar):
    details = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        # A terminal that is too narrow for it shows its beginning: more lines would make the bar jump.
        yield Text(self.details, style="dim", no_wrap=True, overflow="ellipsis")


def details(standing: Standing) -> str:
    """Shards, bytes, workers, what was skipped, and where to look, as far as there is something to say."""
    said = []
    if standing.total_shards:
        said.append(f"{standing.shards:,}/{standing.total_shards:,} shards")
    if standing.bytes:
        said.append(decimal(standing.bytes))
    if standing.workers:
        said.append(f"{standing.workers} {'worker' if standing.workers == 1 else 'workers'}")
    if standing.skipped:
        said.append(f"{standing.skipped:,} skipped")
    if standing.dashboard:
        said.append(standing.dashboard)
    return " · ".join(said)


def _pace(pace: Pace) -> str:
    speed, left = pace.frames_per_second, pace.eta_seconds
    if not speed or left is None:
        return ""
    return f"· {speed:,.0f}/s · {duration(left)} left"
