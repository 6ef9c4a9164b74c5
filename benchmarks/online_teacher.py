"""A store's utterances without its targets: the teacher is run on the frames of each batch instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from softstore.frames import Frames
from trainer.examples import Example, Examples, Place
from trainer.models import DNN
from trainer.models.dnn import splice
from trainer.objectives import Softener

SPLICED = "spliced"


class OnlineExamples(Examples):
    """Each frame comes with its neighbours, (frames, spliced_dim), in the place of encoded targets."""

    def __init__(self, frames: Frames, teacher: DNN) -> None:
        super().__init__(frames)
        self.teacher = teacher

    def nothing(self, *, targets: bool = False) -> Example:
        empty = super().nothing()
        rows = np.empty((0, self.teacher.config.spliced_dim), np.float32)
        return replace(empty, encoded={SPLICED: rows}) if targets else empty

    def fetch(self, neighbours: Sequence[Place], *, targets: bool = False) -> Callable[[], list[Example]]:
        made = super().fetch(neighbours)
        return (lambda: [self._with_neighbours(example) for example in made()]) if targets else made

    @property
    def block_frames(self) -> int:
        return 1

    @torch.no_grad()
    def softener(self, encoded: Mapping[str, Tensor], rows: Tensor) -> Softener | None:
        """The teacher is run here, once for all frames: the loss asks for a few at a time."""
        assert self.codec is not None
        logits = self.teacher.classify(self.teacher.hidden(encoded[SPLICED][rows]))
        return OnlineSoftener(self.codec, self.class_count, {}, logits)

    def _with_neighbours(self, example: Example) -> Example:
        spliced = splice(example.features, self.teacher.config.context)
        return replace(example, encoded={SPLICED: spliced.numpy()})


@dataclass(frozen=True, slots=True)
class OnlineSoftener(Softener):
    """Attributes: said, the teacher's logits, (frames, classes)."""

    said: Tensor

    def __call__(self, temperature: float) -> Tensor:
        return torch.log_softmax(self.said / temperature, dim=-1)

    def posteriors(self, temperature: float) -> Tensor:
        return torch.softmax(self.said / temperature, dim=-1)

    def span(self, start: int, stop: int) -> OnlineSoftener:
        return replace(self, said=self.said[start:stop])
