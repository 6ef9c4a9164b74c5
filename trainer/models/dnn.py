"""The teacher: a feed-forward network on spliced frames (Tang, Wang & Zhang 2015, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from softstore.errors import InvalidInputError
from trainer.models.base import AcousticModel, ModelConfig

ACTIVATIONS = {"relu": torch.relu_, "sigmoid": torch.sigmoid_}
"""What hidden layers may end with, in place."""

_SIGMOID_GAIN = 4.0
"""A sigmoid's slope at 0 is a quarter of a tanh's (Glorot & Bengio 2010)."""


@dataclass(frozen=True, slots=True)
class DNNConfig(ModelConfig):
    """The paper's network, by default.

    Attributes:
        context: frames on either side that are spliced to each frame.
        transform_dim: rows of the fixed linear transform before the first layer.
        layers: hidden layers.
        hidden: units in each.
        activation: ``relu``, or ``sigmoid`` as in Kaldi's nnet1.
    """

    kind: ClassVar[str] = "dnn"

    context: int = 5
    transform_dim: int = 200
    layers: int = 4
    hidden: int = 2048
    activation: str = "relu"

    def __post_init__(self) -> None:
        self.check_positive("transform_dim", "layers", "hidden")
        if self.activation not in ACTIVATIONS:
            raise InvalidInputError(f"activation must be {' or '.join(ACTIVATIONS)}, not {self.activation}.")

    @property
    def spliced_dim(self) -> int:
        return (2 * self.context + 1) * self.input_dim

    def build(self) -> DNN:
        return DNN(self)


class DNN(AcousticModel):
    """Splice → fixed affine transform → hidden layers → logits.

    The transform (buffers ``transform``, (transform_dim, spliced_dim), and ``offset``) is set before
    training.
    """

    config: DNNConfig
    transform: Tensor
    offset: Tensor

    def __init__(self, config: DNNConfig) -> None:
        super().__init__(config)
        self.config = config
        self.register_buffer("transform", torch.zeros(config.transform_dim, config.spliced_dim))
        self.register_buffer("offset", torch.zeros(config.transform_dim))
        widths = [config.transform_dim, *[config.hidden] * config.layers]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.output = nn.Linear(config.hidden, config.class_count)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            if config.activation == "relu":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight, gain=_SIGMOID_GAIN)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def hidden(self, spliced: Tensor) -> Tensor:
        """(frames, spliced_dim) → (frames, hidden)."""
        activate = ACTIVATIONS[self.config.activation]
        x = torch.addmm(self.offset, spliced, self.transform.t())
        for layer in self.layers:
            x = activate(layer(x))
        return x

    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        return self.hidden(torch.cat([splice(utterance, self.config.context) for utterance in utterances]))


def splice(features: Tensor, context: int) -> Tensor:
    """Each frame with its neighbours: (frames, dims) → (frames, (2·context + 1)·dims); edges are repeated."""
    frames = features.shape[0]
    around = torch.arange(-context, context + 1, device=features.device)
    index = torch.arange(frames, device=features.device)[:, None] + around
    return features[index.clamp(max=frames - 1).clamp(min=0)].flatten(1)
