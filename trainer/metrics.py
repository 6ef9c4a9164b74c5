"""What is measured of a run, batch by batch and epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One line of ``metrics.jsonl``.

    Attributes:
        epoch: from 1, counted through all stages.
        objective: of the stage.
        learning_rate: of this epoch; if that changes with every update, of its last.
        train_loss, cv_loss: mean over frames, nats; of training, while the weights were changing.
        train_accuracy, cv_accuracy: frame accuracy with the hard labels, per cent.
        accepted: False if cross-validation got no better: Newbob restored the weights of before.
        frames_per_second: of training alone, of all ranks.
        data_wait: the share of training's time that went by waiting for batches, from 0 to 1.
        seconds: training and cross-validation.
    """

    epoch: int
    objective: str
    learning_rate: float
    train_loss: float
    train_accuracy: float
    cv_loss: float
    cv_accuracy: float
    accepted: bool
    frames_per_second: float
    data_wait: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One line of ``steps.jsonl``: means over the updates since the line before, in this epoch.

    Attributes:
        step: updates in the whole run.
        epoch, objective, learning_rate, frames_per_second, data_wait: as of `EpochMetrics`.
        loss: nats a frame.
        accuracy: per cent.
    """

    step: int
    epoch: int
    objective: str
    learning_rate: float
    loss: float
    accuracy: float
    frames_per_second: float
    data_wait: float


@dataclass(slots=True)
class Sums:
    """Running sums over batches, of all ranks.

    Attributes:
        loss: nats.
        seconds, waited: that went by, and by waiting for batches.
    """

    loss: float = 0.0
    frames: int = 0
    correct: int = 0
    batches: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, other: Sums) -> None:
        self.loss += other.loss
        self.frames += other.frames
        self.correct += other.correct
        self.batches += other.batches
        self.seconds += other.seconds
        self.waited += other.waited

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.frames, 1)

    @property
    def accuracy(self) -> float:
        return 100 * self.correct / max(self.frames, 1)

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def data_wait(self) -> float:
        return self.waited / self.seconds if self.seconds else 0.0


class Waiting:
    """Measures how long whoever iterates waits.

    Attributes:
        seconds: altogether.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, batches: Iterable[T]) -> Iterator[T]:
        """The same, measured."""
        source = iter(batches)
        while True:
            started = time.perf_counter()
            try:
                batch = next(source)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - started
            yield batch
