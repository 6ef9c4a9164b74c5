"""Models that read an utterance from its start, and carry a state from one chunk to the next."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from softstore.errors import InvalidInputError
from trainer.models.base import ModelConfig, NormalisedModel

INITIAL_RANGE = 0.1
"""Peepholes and biases start uniformly in ± this, as in Kaldi."""


@dataclass(frozen=True, slots=True)
class RecurrentConfig(ModelConfig):
    """The paper's student, by default.

    Attributes:
        layers: how many, each reading the projection of the one below.
        cells: memory cells of a layer.
        projection: width of the recurrent projection.
        delay: the output for frame t comes with the input of frame t + delay.
    """

    layers: int = 2
    cells: int = 800
    projection: int = 512
    delay: int = 5

    def __post_init__(self) -> None:
        self.check_positive("layers", "cells", "projection")
        if self.delay < 0:
            raise InvalidInputError(f"delay must be at least 0, not {self.delay}.")


class State(NamedTuple):
    """What a layer carries from one chunk to the next: r (streams, projection) and c (streams, cells)."""

    projected: Tensor
    cell: Tensor


class RecurrentModel(NormalisedModel):
    """Global normalisation → one-way recurrent layers with projections → logits."""

    config: RecurrentConfig

    def initial_state(self, streams: int) -> list[State]:
        """Every layer's state at the start of an utterance: zeros."""
        widths = self.config.projection, self.config.cells
        return [
            State(*(self.mean.new_zeros(streams, width) for width in widths))
            for _ in range(self.config.layers)
        ]

    @abstractmethod
    def steps(self, features: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Run all layers over a chunk.

        Training is truncated at the chunk's start: no gradient flows into ``states``.

        Args:
            features: (steps, streams, input_dim).
            states: from `initial_state` or the chunk before.

        Returns:
            (steps, streams, projection), and the states after the last step, cut off from the graph.
        """

    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        delay = self.config.delay
        lengths = [len(utterance) for utterance in utterances]
        padded = [torch.cat([u, u[-1:].expand(delay, -1)]) for u in utterances]
        hidden, _ = self.steps(nn.utils.rnn.pad_sequence(padded), self.initial_state(len(padded)))
        return torch.cat([hidden[delay : delay + n, stream] for stream, n in enumerate(lengths)])


def initialise(model: nn.Module) -> None:
    """Matrices get variance 1 / inputs: about Kaldi's ± 0.1 at the paper's sizes, and more below."""
    for name, parameter in model.named_parameters():
        matrix = parameter.dim() == 2 and not name.endswith("peepholes")
        bound = math.sqrt(3 / parameter.shape[1]) if matrix else INITIAL_RANGE
        nn.init.uniform_(parameter, -bound, bound)
