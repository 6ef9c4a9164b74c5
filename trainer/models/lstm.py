"""The fast student: PyTorch's own LSTM with projections, which on a GPU is cuDNN's.

It differs from `trainer.models.lstmp` in what it has not, peepholes and a cell clip, and in a second bias.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from softstore.errors import InvalidInputError
from trainer.models.recurrent import RecurrentConfig, RecurrentModel, State, initialise


@dataclass(frozen=True, slots=True)
class LSTMConfig(RecurrentConfig):
    """The paper's sizes, by default; the projection must be narrower than the cells."""

    kind: ClassVar[str] = "lstm"

    def __post_init__(self) -> None:
        # Not super(): a dataclass with slots is made anew, and super() would not know it.
        RecurrentConfig.__post_init__(self)
        if self.projection >= self.cells:
            raise InvalidInputError(
                f"projection must be less than the {self.cells} cells of an lstm, not {self.projection}."
            )

    def build(self) -> LSTM:
        return LSTM(self)


class LSTM(RecurrentModel):
    """Global normalisation → `torch.nn.LSTM` with ``proj_size`` → logits."""

    config: LSTMConfig

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config)
        self.config = config
        self.lstm = nn.LSTM(config.input_dim, config.cells, config.layers, proj_size=config.projection)
        self.output = nn.Linear(config.projection, config.class_count)
        initialise(self)

    def steps(self, features: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        before = tuple(torch.stack(parts) for parts in zip(*states, strict=True))
        with warnings.catch_warnings():
            # On a CPU, that oneDNN has none: PyTorch's own are used.
            warnings.filterwarnings("ignore", "LSTM with projections")
            hidden, after = self.lstm(self.normalised(features), before)
        layers = zip(*(part.detach().unbind(0) for part in after), strict=True)
        return hidden, [State(*layer) for layer in layers]
