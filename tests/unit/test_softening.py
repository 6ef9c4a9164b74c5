"""Temperature, divergence, entropy against float64 formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softstore.errors import InvalidInputError
from softstore.softening import check_temperature, entropy, kl_divergence, log_soften


@pytest.mark.parametrize("temperature", [0.25, 1.0, 1.5, 2.0, 8.0, 1e9])
def test_softening_log_posteriors_equals_softening_logits(temperature: float) -> None:
    logits = 6 * torch.randn(50, 200, generator=torch.Generator().manual_seed(1))
    wanted = np.exp(logits.double().numpy() / temperature)
    wanted /= wanted.sum(axis=1, keepdims=True)
    softened = log_soften(torch.log_softmax(logits, dim=-1), temperature).exp().numpy()
    np.testing.assert_allclose(softened, wanted, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 1e-300, -1.0, math.nan, math.inf])
def test_a_temperature_that_makes_no_sense_is_refused(temperature: float) -> None:
    with pytest.raises(InvalidInputError, match="finite number of at least"):
        check_temperature(temperature)


def test_divergence_and_entropy() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    q = torch.tensor([[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    expected = [0.5 * math.log(2) + 0.25 * math.log(0.5), 0.0]
    torch.testing.assert_close(kl_divergence(p.log(), q.log()), torch.tensor(expected), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(entropy(p.log()), torch.tensor([1.5 * math.log(2), math.log(3)]))
