"""Temperature, divergence and entropy of posteriors. Torch, CPU or GPU, no I/O.

The logits z of a network and its log-posteriors log p = z - log Σ exp z differ by a constant per frame,
so p_T = softmax(z / T) = softmax(log p / T): stored log p suffices for every temperature T
(Hinton, Vinyals & Dean 2014; Tang, Wang & Zhang 2015, section 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softstore.errors import InvalidInputError

CERTIFICATE_TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
"""Temperatures at which every store is measured."""

LOWEST_TEMPERATURE = 0.01
"""Below it log p / T leaves float32, and every distribution is one-hot anyway."""


def check_temperature(temperature: float) -> float:
    """``temperature`` itself.

    Raises:
        InvalidInputError: it is not a finite number of at least `LOWEST_TEMPERATURE`.
    """
    if not (math.isfinite(temperature) and temperature >= LOWEST_TEMPERATURE):
        raise InvalidInputError(
            f"The temperature must be a finite number of at least {LOWEST_TEMPERATURE}, not {temperature}."
        )
    return temperature


def log_soften(log_posteriors: Tensor, temperature: float) -> Tensor:
    """log p_T, shape (frames, classes), from log p (or logits) of that shape."""
    return torch.log_softmax(log_posteriors / check_temperature(temperature), dim=-1)


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) per frame in nats, shape (frames,), from two (frames, classes) log-distributions.

    Clamped at 0: float32 rounding can leave values of order -1e-7.
    """
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).clamp_min(0.0)


def entropy(log_p: Tensor) -> Tensor:
    """-Σ p log p per frame in nats, shape (frames,)."""
    return -(log_p.exp() * log_p).sum(dim=-1)
