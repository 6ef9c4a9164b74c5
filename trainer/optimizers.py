"""Optimisers, and how gradients are kept from growing too large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from softstore.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class SGDConfig:
    """Stochastic gradient descent.

    Attributes:
        learning_rate: the first one, on the mean over a full batch's frames.
        clip_norm: gradients of a larger norm are scaled down to it; 0: they are not.
        weight_decay: of all parameters, per update, times the rate.
        clip_elements: as Kaldi's nnet1 bounds what momentum has gathered: each of its elements to ± this; 0:
            it does not. Kaldi sums over frames where this is for their mean (its 250 at 80 frames is 3.125
            here), and leaves the output layer alone.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    learning_rate: float
    momentum: float = 0.9
    clip_norm: float = 5.0
    weight_decay: float = 0.0
    clip_elements: float = 0.0
    kind: Literal["sgd"] = "sgd"

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        _check_not_negative(self, "momentum", "clip_norm", "weight_decay", "clip_elements")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            foreach=False,
        )


@dataclass(frozen=True, slots=True)
class AdamWConfig:
    """Adam with weight decay beside the gradient (Loshchilov & Hutter 2019).

    Attributes:
        learning_rate: the highest one, on the mean over a full batch's frames.
        clip_norm: gradients of a larger norm are scaled down to it; 0: they are not.
        clip_elements: each element of the gradient is bounded to ± this; 0: it is not.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    clip_elements: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    kind: Literal["adamw"] = "adamw"

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        _check_not_negative(self, "clip_norm", "weight_decay", "clip_elements")
        for name, value in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= value < 1:
                raise InvalidInputError(f"{name} must be at least 0 and below 1, not {value}.")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            parameters,
            lr=self.learning_rate,
            betas=(self.beta1, self.beta2),
            weight_decay=self.weight_decay,
            foreach=False,
        )


OptimizerConfig = SGDConfig | AdamWConfig


def clip(config: OptimizerConfig, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
    """Bound the gradients, as configured, before the optimiser's step."""
    if config.clip_norm:
        nn.utils.clip_grad_norm_(parameters, config.clip_norm, foreach=False)
    if config.clip_elements:
        for parameter in parameters:
            if parameter.grad is not None:
                _clip_elements(parameter.grad, config, optimizer.state.get(parameter, {}))


def _clip_elements(gradient: Tensor, config: OptimizerConfig, state: Mapping[str, Tensor]) -> None:
    gathered = state.get("momentum_buffer")
    if gathered is None or isinstance(config, AdamWConfig):
        gradient.clamp_(-config.clip_elements, config.clip_elements)
        return
    # The step adds them up: bounded is the gradient, so that their sum is.
    before = gathered * config.momentum
    gradient.add_(before).clamp_(-config.clip_elements, config.clip_elements).sub_(before)


def _check_rate(rate: float) -> None:
    if not 0 < rate < float("inf"):
        raise InvalidInputError(f"The learning rate must be above 0, not {rate}.")


def _check_not_negative(config: OptimizerConfig, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) < float("inf"):
            raise InvalidInputError(f"{name} must be at least 0, not {getattr(config, name)}.")
