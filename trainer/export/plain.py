"""Models as sequences of plain tensor operations: no autograd function, no batches, nothing of this package.

Each returns the logits of one utterance: (frames, dimensions) → (frames, classes). As in
`trainer.export.directions`, annotations are types.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainer.export.directions import Direction, Weights
from trainer.models import BLSTM, DNN, LSTM, LSTMP, AcousticModel, RecurrentModel
from trainer.models.base import NormalisedModel
from trainer.models.dnn import splice
from trainer.models.lstmp import LSTMPLayer


def plain(model: AcousticModel, direction: type[Direction]) -> nn.Sequential:
    """A model without its softmax, which shares its weights.

    Args:
        direction: how recurrent layers go through time.
    """
    if isinstance(model, DNN):
        return nn.Sequential(*_feedforward(model))
    assert isinstance(model, NormalisedModel)
    layers = [Layer([direction(weights) for weights in layer]) for layer in _layers(model)]
    delay = model.config.delay if isinstance(model, RecurrentModel) else 0
    return nn.Sequential(
        Normalise(model.mean, model.scale), Prolong(delay), *layers, Skip(delay), model.output
    )


class Scores(nn.Module):
    """Logits → log-posteriors, less a log-prior if there is one."""

    log_prior: Tensor

    def __init__(self, log_prior: Tensor) -> None:
        super().__init__()
        self.register_buffer("log_prior", log_prior)

    def forward(self, logits: Tensor) -> Tensor:
        return torch.log_softmax(logits, dim=-1) - self.log_prior


class Splice(nn.Module):
    """See `trainer.models.dnn.splice`."""

    def __init__(self, context: int) -> None:
        super().__init__()
        self.context = context

    def forward(self, features: Tensor) -> Tensor:
        return splice(features, self.context)


class Normalise(nn.Module):
    """See `trainer.models.base.NormalisedModel`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale


class Prolong(nn.Module):
    """The last frame comes ``delay`` times more."""

    def __init__(self, delay: int) -> None:
        super().__init__()
        self.delay = delay

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, features[-1:].expand(self.delay, -1)])


class Skip(nn.Module):
    """Without the first ``delay`` frames."""

    def __init__(self, delay: int) -> None:
        super().__init__()
        self.delay = delay

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[self.delay :]


class Layer(nn.Module):
    """One direction, or both side by side."""

    def __init__(self, directions: list[Direction]) -> None:
        super().__init__()
        self.directions = nn.ModuleList(directions)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([direction(inputs) for direction in self.directions], dim=1)


def _feedforward(model: DNN) -> Iterator[nn.Module]:
    yield Splice(model.config.context)
    transform = nn.Linear(model.config.spliced_dim, model.config.transform_dim)
    transform.weight, transform.bias = nn.Parameter(model.transform), nn.Parameter(model.offset)
    yield transform
    for layer in model.layers:
        yield layer
        yield nn.ReLU() if model.config.activation == "relu" else nn.Sigmoid()
    yield model.output


def _layers(model: NormalisedModel) -> Iterator[list[Weights]]:
    """Each layer's weights in each direction."""
    if isinstance(model, LSTMP):
        for layer in model.layers:
            assert isinstance(layer, LSTMPLayer)
            yield [Weights.of_lstmp(layer)]
        return
    assert isinstance(model, LSTM | BLSTM)
    ways = ("", "_reverse") if model.lstm.bidirectional else ("",)
    for number in range(model.lstm.num_layers):
        yield [Weights.of_torch(model.lstm, number, way) for way in ways]
