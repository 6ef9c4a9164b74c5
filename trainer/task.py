"""What the training loop asks of whatever is trained, and of whatever shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from trainer.metrics import EpochMetrics, Sums, Waiting
from trainer.models import AcousticModel
from trainer.objectives import Objective, Outcome
from trainer.ranks import Ranks


class Task(Protocol):
    """A model and what it is to learn.

    Attributes:
        batch_frames: frames of a full batch; gradients are divided by it, also for batches that are not full.
        train_frames: frames of an epoch. Both are of all ranks together.
        waiting: measures how long `train` waits for its batches.
        ranks: among which every batch is divided.
    """

    batch_frames: int
    train_frames: int
    waiting: Waiting
    ranks: Ranks

    @property
    def model(self) -> AcousticModel: ...

    def prepare(self) -> None:
        """Whatever the model takes from the data before its first epoch; kept in the state from then on."""
        ...

    def train(self, objective: Objective, epoch: int, first: int = 0) -> Iterator[Outcome]:
        """One epoch from batch ``first`` on; the loop updates the weights between two batches."""
        ...

    def validate(self, objective: Objective) -> Iterator[Outcome]:
        """This rank's part of the cross-validation split, without gradients."""
        ...

    def carried(self) -> dict[str, Tensor]:
        """What the model carries from batch to batch, this rank's streams along the first axis."""
        ...

    def carry_on(self, carried: dict[str, Tensor]) -> None:
        """Let an epoch that does not start with its first batch start with this, of all ranks' streams."""
        ...


class Display(Protocol):
    """Where a run shows itself."""

    def begin(self, epoch: int, objective: Objective, frames: int) -> None:
        """An epoch of so many frames begins, or goes on."""
        ...

    def update(self, sums: Sums) -> None:
        """What the epoch has come to so far."""
        ...

    def end(self, metrics: EpochMetrics) -> None: ...


class Silent:
    """A `Display` that shows nothing."""

    def begin(self, epoch: int, objective: Objective, frames: int) -> None: ...

    def update(self, sums: Sums) -> None: ...

    def end(self, metrics: EpochMetrics) -> None: ...
