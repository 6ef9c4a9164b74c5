"""What training on stores and corpora is about, whatever the batches are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from trainer.evaluation import validate
from trainer.examples import Examples
from trainer.metrics import Waiting
from trainer.models import AcousticModel
from trainer.objectives import Objective, Outcome
from trainer.preparation import prepare
from trainer.ranks import Ranks

M = TypeVar("M", bound=AcousticModel)


class CorpusTask(Generic[M]):
    """All of a `trainer.task.Task` but its batches; nothing is carried between them.

    Args:
        sources: that are mixed; they go together, see `trainer.loading.batches.check_go_together`.
        batch_frames: see `trainer.task.Task`.

    Raises:
        InvalidInputError: one of them has nothing to train on, or nothing for cross-validation.
    """

    model: M

    def __init__(self, sources: Sequence[Examples], batch_frames: int, seed: int, ranks: Ranks) -> None:
        # Before the model is built, which a subclass does next.
        torch.manual_seed(seed)
        self.sources = sources
        self.ranks = ranks
        self.waiting = Waiting()
        self.batch_frames = batch_frames
        self.train_frames = sum(examples.num_frames("train") for examples in sources)
        for examples in sources:
            examples.num_frames("cv")

    def prepare(self) -> None:
        prepare(self.model, self.sources)

    def validate(self, objective: Objective) -> Iterator[Outcome]:
        return validate(self.model, self.sources, "cv", objective, self.ranks.rank, self.ranks.world_size)

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry_on(self, carried: dict[str, Tensor]) -> None: ...
