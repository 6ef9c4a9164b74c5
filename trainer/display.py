"""A training run on the terminal: a bar for the epoch under way, a line for each one that is done."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from trainer.metrics import EpochMetrics, Sums
from trainer.objectives import Objective


class TerminalDisplay:
    """A `trainer.task.Display`; use it in a ``with`` statement."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Figures(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> TerminalDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, epoch: int, objective: Objective, frames: int) -> None:
        self._task = self._bar.add_task(f"epoch {epoch} ({objective})", total=frames, sums=Sums())

    def update(self, sums: Sums) -> None:
        assert self._task is not None
        self._bar.update(self._task, completed=sums.frames, sums=sums)

    def end(self, metrics: EpochMetrics) -> None:
        assert self._task is not None
        self._bar.remove_task(self._task)
        self._console.print(
            f"epoch {metrics.epoch} ({metrics.objective})  "
            f"loss {metrics.train_loss:.3f}  FA train {metrics.train_accuracy:.1f} %  "
            f"loss cv {metrics.cv_loss:.3f}  FA cv [bold]{metrics.cv_accuracy:.1f} %[/]  "
            f"rate {metrics.learning_rate:.2g}  {metrics.frames_per_second:,.0f} frames/s  "
            f"data wait {100 * metrics.data_wait:.1f} %"
            + ("" if metrics.accepted else "  [yellow]no better[/]"),
            highlight=False,
            soft_wrap=True,
        )


class _Figures(ProgressColumn):
    """Loss, frame accuracy, speed, and the share of the time that goes by waiting for data."""

    def render(self, task: Task) -> Text:
        sums: Sums = task.fields["sums"]
        return Text(
            f"loss {sums.mean_loss:.3f}  FA {sums.accuracy:.1f} %  {sums.frames_per_second:,.0f} frames/s  "
            f"data wait {100 * sums.data_wait:.1f} %"
        )
