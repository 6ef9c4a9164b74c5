"""The teacher: a feed-forward network on spliced frames (Tang, Wang & Zhang 2015, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from trainer.models.base import AcousticModel, ModelConfig


@dataclass(frozen=True, slots=True)
class DNNConfig(ModelConfig):
    """The paper's network, by default.

    Attributes:
        context: frames on either side that are spliced to each frame.
        transform_dim: rows of the fixed linear transform before the first layer.
        layers: hidden ReLU layers.
        hidden: units in each.
    """

    context: int = 5
    transform_dim: int = 200
    layers: int = 4
    hidden: int = 2048

    def __post_init__(self) -> None:
        self.check_positive("transform_dim", "layers", "hidden")

    @property
    def spliced_dim(self) -> int:
        return (2 * self.context + 1) * self.input_dim

    def build(self) -> DNN:
        return DNN(self)


class DNN(AcousticModel):
    """Splice → fixed affine transform → ReLU layers → logits.

    The transform (buffers ``transform``, (transform_dim, spliced_dim), and ``offset``) is set before
    training.
    """

    def __init__(self, config: DNNConfig) -> None:
        super().__init__(config)
        self.config = config
        self.transform: Tensor
        self.offset: Tensor
        self.register_buffer("transform", torch.zeros(config.transform_dim, config.spliced_dim))
        self.register_buffer("offset", torch.zeros(config.transform_dim))
        widths = [config.transform_dim, *[config.hidden] * config.layers]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.output = nn.Linear(config.hidden, config.class_count)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def hidden(self, spliced: Tensor) -> Tensor:
        """(frames, spliced_dim) → (frames, hidden)."""
        x = torch.addmm(self.offset, spliced, self.transform.t())
        for layer in self.layers:
            x = layer(x).relu_()
        return x

    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        return self.hidden(torch.cat([splice(utterance, self.config.context) for utterance in utterances]))

    def classify(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.output(hidden)
        return logits


def splice(features: Tensor, context: int) -> Tensor:
    """Each frame with its neighbours: (frames, dims) → (frames, (2·context + 1)·dims); edges are repeated."""
    frames = len(features)
    around = torch.arange(-context, context + 1, device=features.device)
    index = torch.arange(frames, device=features.device)[:, None] + around
    return features[index.clamp_(0, max(frames - 1, 0))].flatten(1)
