"""A training run on the terminal: a bar for the epoch under way, a line for each one that is done."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from trainer.loop import EpochMetrics
from trainer.objectives import Objective


class TerminalDisplay:
    """A `trainer.loop.Display`; use it in a ``with`` statement."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  FA {task.fields[accuracy]:.1f} %"),
            _Speed(),
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
        self._task = self._bar.add_task(f"epoch {epoch} ({objective})", total=frames, loss=0.0, accuracy=0.0)

    def update(self, frames: int, loss: float, accuracy: float) -> None:
        assert self._task is not None
        self._bar.update(self._task, completed=frames, loss=loss, accuracy=accuracy)

    def end(self, metrics: EpochMetrics) -> None:
        assert self._task is not None
        self._bar.remove_task(self._task)
        self._console.print(
            f"epoch {metrics.epoch} ({metrics.objective})  "
            f"loss {metrics.train_loss:.3f}  FA train {metrics.train_accuracy:.1f} %  "
            f"loss cv {metrics.cv_loss:.3f}  FA cv [bold]{metrics.cv_accuracy:.1f} %[/]  "
            f"rate {metrics.learning_rate:.2g}  {metrics.frames_per_second:,.0f} frames/s"
            + ("" if metrics.accepted else "  [yellow]rejected[/]"),
            highlight=False,
            soft_wrap=True,
        )


class _Speed(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text("" if speed is None else f"{speed:,.0f} frames/s")
