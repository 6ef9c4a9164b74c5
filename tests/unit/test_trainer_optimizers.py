"""Gradients are bounded as Kaldi does it, or by their norm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from softstore.errors import InvalidInputError
from trainer.optimizers import AdamWConfig, OptimizerConfig, SGDConfig, clip


def steps(config: OptimizerConfig, gradients: torch.Tensor) -> torch.Tensor:
    """A parameter, zero at first, after an update with each row of gradients."""
    parameter = nn.Parameter(torch.zeros_like(gradients[0]))
    optimizer = config.build([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        clip(config, optimizer, [parameter])
        optimizer.step()
    return parameter.detach()


def test_elements_are_clipped_in_what_momentum_has_gathered_as_in_nnet1() -> None:
    gradients = 2 * torch.randn(20, 50, dtype=torch.float64, generator=torch.manual_seed(0))
    correction, weights = torch.zeros(2, 50, dtype=torch.float64)
    for gradient in gradients:
        correction = (0.9 * correction + gradient).clamp(-3, 3)
        weights = weights - 0.1 * correction
    config = SGDConfig(0.1, clip_norm=0.0, clip_elements=3.0)
    torch.testing.assert_close(steps(config, gradients), weights)


def test_adamw_clips_the_elements_of_the_gradient_itself() -> None:
    gradients = 2 * torch.randn(20, 50, dtype=torch.float64, generator=torch.manual_seed(0))
    clipped = steps(AdamWConfig(clip_norm=0.0, clip_elements=1.0), gradients)
    torch.testing.assert_close(clipped, steps(AdamWConfig(clip_norm=0.0), gradients.clamp(-1, 1)))


def test_a_gradient_of_a_larger_norm_is_scaled_down_to_it() -> None:
    found = steps(SGDConfig(1.0, clip_norm=5.0), torch.tensor([[30.0, 40.0]]))
    torch.testing.assert_close(found, torch.tensor([-3.0, -4.0]))
    free = steps(SGDConfig(1.0, clip_norm=0.0), torch.tensor([[30.0, 40.0]]))
    torch.testing.assert_close(free, torch.tensor([-30.0, -40.0]))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="learning rate must be above 0"):
        SGDConfig(0.0)
    with pytest.raises(InvalidInputError, match="clip_elements must be at least 0"):
        SGDConfig(0.1, clip_elements=-1)
    with pytest.raises(InvalidInputError, match="beta2"):
        AdamWConfig(beta2=1.0)
