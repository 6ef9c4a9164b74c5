"""A bidirectional LSTM (Graves & Schmidhuber 2005): sees whole utterances, and has all their latency.

A teacher for smaller networks, as in Chan, Ke & Lane 2015, and a student where nobody waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from trainer.models.base import ModelConfig, NormalisedModel
from trainer.models.recurrent import initialise


@dataclass(frozen=True, slots=True)
class BLSTMConfig(ModelConfig):
    """
    Attributes:
        layers: how many, each reading both directions of the one below.
        cells: memory cells of a layer, in each direction.
    """

    kind: ClassVar[str] = "blstm"

    layers: int = 3
    cells: int = 512

    def __post_init__(self) -> None:
        self.check_positive("layers", "cells")

    def build(self) -> BLSTM:
        return BLSTM(self)


class BLSTM(NormalisedModel):
    """Global normalisation → `torch.nn.LSTM` both ways → logits."""

    config: BLSTMConfig

    def __init__(self, config: BLSTMConfig) -> None:
        super().__init__(config)
        self.config = config
        self.lstm = nn.LSTM(config.input_dim, config.cells, config.layers, bidirectional=True)
        self.output = nn.Linear(2 * config.cells, config.class_count)
        initialise(self)

    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        # Packed, so that the way back begins at each utterance's own end.
        packed = pack_sequence([self.normalised(u) for u in utterances], enforce_sorted=False)
        hidden, lengths = pad_packed_sequence(self.lstm(packed)[0])
        return torch.cat([hidden[:n, stream] for stream, n in enumerate(lengths.tolist())])
