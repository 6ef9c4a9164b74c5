"""The student's task, a few batches at a time, and fed in other ways."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from trainer.objectives import Objective
from trainer.stream_task import StreamTask
from trainer.streams import Batch


class FirstBatches(StreamTask):
    """An epoch is over after so many batches.

    Args:
        count: of them.
        arguments: of `StreamTask`.
    """

    def __init__(self, count: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.count = count

    def batches(self, objective: Objective, epoch: int, first: int = 0) -> Iterable[Batch]:
        return islice(super().batches(objective, epoch, first), self.count)


class HeldBatches(FirstBatches):
    """The batches of the first epoch that is asked for are kept in memory, and are those of all others."""

    held: list[Batch] | None = None

    def batches(self, objective: Objective, epoch: int, first: int = 0) -> Iterable[Batch]:
        if self.held is None:
            self.held = list(super().batches(objective, epoch, first))
        return self.held
