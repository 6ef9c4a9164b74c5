"""A run's metrics on disk: lines of JSON, and TensorBoard's event files for whoever wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from softstore.errors import MissingDependencyError, StorageError
from trainer.checkpoint import write_whole
from trainer.metrics import EpochMetrics, StepMetrics

METRICS = "metrics.jsonl"
STEPS = "steps.jsonl"
EVENTS = "tensorboard"


class MetricsFiles:
    """Where a run writes what is measured; use it in a ``with`` statement.

    ``metrics.jsonl`` is replaced whole after every epoch. ``steps.jsonl`` grows; what an interrupted run has
    written after the state that it goes on from, is taken away first.

    Args:
        steps: updates at which the run goes on.
        tensorboard: whether to write event files, into ``tensorboard/``.

    Raises:
        MissingDependencyError: event files are wanted, and tensorboardX is not installed.
    """

    def __init__(self, directory: Path, steps: int, tensorboard: bool) -> None:
        self._directory = directory
        kept = [line for line in _lines(directory / STEPS) if json.loads(line)["step"] <= steps]
        write_whole(directory / STEPS, "".join(kept).encode())
        self._steps = (directory / STEPS).open("a", encoding="utf-8")
        self._events = _event_writer(directory / EVENTS, steps) if tensorboard else None

    def __enter__(self) -> MetricsFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._steps.close()
        if self._events is not None:
            self._events.close()

    def step(self, metrics: StepMetrics) -> None:
        try:
            self._steps.write(_line(metrics))
            self._steps.flush()
        except OSError as error:
            raise StorageError(f"{self._steps.name} cannot be written: {error.strerror}.") from error
        self._scalars(
            metrics.step,
            {
                "loss/train": metrics.loss,
                "accuracy/train": metrics.accuracy,
                "learning_rate": metrics.learning_rate,
                "speed/frames_per_second": metrics.frames_per_second,
                "speed/data_wait": metrics.data_wait,
            },
        )

    def epoch(self, steps: int, metrics: EpochMetrics) -> None:
        """Event files only: see `epochs`."""
        self._scalars(steps, {"loss/cv": metrics.cv_loss, "accuracy/cv": metrics.cv_accuracy})

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """All finished epochs."""
        write_whole(self._directory / METRICS, "".join(map(_line, history)).encode())

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)


def _line(metrics: EpochMetrics | StepMetrics) -> str:
    return json.dumps(asdict(metrics), ensure_ascii=False) + "\n"


def _lines(path: Path) -> list[str]:
    """The whole lines of a file; a run that was killed may have left half of one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]


def _event_writer(directory: Path, steps: int) -> Any:
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"Event files need {error.name}, which is not installed: pip install 'softstore[tensorboard]'."
        ) from error
    # TensorBoard then forgets what came after the state that the run goes on from. A file's name has the
    # second it was begun in, which is not enough to tell two of them apart.
    return SummaryWriter(str(directory), purge_step=steps + 1, filename_suffix=f".{steps}")
