"""What a model is told of its shape, beyond the features and classes that it is for: see `trainer.models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from softstore.errors import InvalidInputError
from trainer.models import BLSTM, DNN, BLSTMConfig, DNNConfig, LSTMConfig, LSTMPConfig, RecurrentModel


@dataclass(frozen=True, slots=True)
class LSTMShape:
    """A one-way LSTM with a recurrent projection.

    Attributes:
        kind: ``lstmp`` has peepholes and a cell clip, as Kaldi's; ``lstm`` is PyTorch's own.
        delay: the output for frame t comes with the input of frame t + delay.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Literal["lstmp", "lstm"] = "lstmp"
    layers: int = 2
    cells: int = 800
    projection: int = 512
    delay: int = 5

    def __post_init__(self) -> None:
        at_least_one(self, "layers", "cells", "projection")
        if self.delay < 0:
            raise InvalidInputError(f"delay must be at least 0, not {self.delay}.")

    def build(self, input_dim: int, class_count: int) -> RecurrentModel:
        config = LSTMPConfig if self.kind == "lstmp" else LSTMConfig
        return config(
            input_dim,
            class_count,
            layers=self.layers,
            cells=self.cells,
            projection=self.projection,
            delay=self.delay,
        ).build()


@dataclass(frozen=True, slots=True)
class BLSTMShape:
    """A bidirectional LSTM.

    Attributes:
        cells: of a layer, in each direction.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Literal["blstm"] = "blstm"
    layers: int = 3
    cells: int = 512

    def __post_init__(self) -> None:
        at_least_one(self, "layers", "cells")

    def build(self, input_dim: int, class_count: int) -> BLSTM:
        return BLSTMConfig(input_dim, class_count, layers=self.layers, cells=self.cells).build()


@dataclass(frozen=True, slots=True)
class DNNShape:
    """A feed-forward network on spliced frames.

    Attributes:
        context: frames on either side that are spliced to each frame.
        transform_dim: what LDA leaves of them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Literal["dnn"] = "dnn"
    layers: int = 4
    hidden: int = 2048
    context: int = 5
    transform_dim: int = 200
    activation: Literal["relu", "sigmoid"] = "relu"

    def __post_init__(self) -> None:
        at_least_one(self, "layers", "hidden", "transform_dim")
        if self.context < 0:
            raise InvalidInputError(f"context must be at least 0, not {self.context}.")

    def build(self, input_dim: int, class_count: int) -> DNN:
        return DNNConfig(
            input_dim,
            class_count,
            context=self.context,
            transform_dim=min(self.transform_dim, (2 * self.context + 1) * input_dim),
            layers=self.layers,
            hidden=self.hidden,
            activation=self.activation,
        ).build()


StudentShape = LSTMShape | BLSTMShape | DNNShape


def at_least_one(config: Any, *names: str) -> None:
    """Raises `InvalidInputError` if one of these fields is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise InvalidInputError(f"{name} must be at least 1, not {getattr(config, name)}.")
