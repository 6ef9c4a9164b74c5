"""Temperature, divergence and entropy of posteriors. Torch, CPU or GPU, no I/O.

The logits z of a network and its log-posteriors log p = z - log Σ exp z differ by a constant per frame,
so p_T = softmax(z / T) = softmax(log p / T): stored log p suffices for every temperature T
(Hinton, Vinyals & Dean 2014; Tang, Wang & Zhang 2015, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from softstore.errors import InvalidInputError

CERTIFICATE_TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
"""Temperatures at which every store is measured."""


_FURTHEST_SQUARED = 40.0
"""Nats; exp(40) times a probability is far from float32's end."""

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


def divergence_by_temperature(log_p: Tensor, log_q: Tensor, temperatures: Sequence[float]) -> list[Tensor]:
    """KL(p_T ‖ q_T) per frame in nats, each (frames,), from log p and log q at T = 1, (frames, classes).

    With d = log p - log q and β = 1/T it is E[β d] + log E[exp(-β d)] over p_T. At 8, 4, 2 and 1 each
    exponential is the square of the one before, so two exponentials do for all; frames that they would
    overflow or lose are done one temperature at a time.
    """
    if tuple(temperatures) != CERTIFICATE_TEMPERATURES:
        return [kl_divergence(log_soften(log_p, t), log_soften(log_q, t)) for t in temperatures]
    difference = log_p - log_q
    found = _divergence_by_squaring(log_p, difference)
    far = (difference.abs().amax(dim=-1) > _FURTHEST_SQUARED).nonzero().flatten()
    if len(far):
        for values, t in zip(found, temperatures, strict=True):
            values[far] = kl_divergence(log_soften(log_p[far], t), log_soften(log_q[far], t))
    return found


def _divergence_by_squaring(log_p: Tensor, difference: Tensor) -> list[Tensor]:
    """At T = 1, 2, 4 and 8; right where no difference is beyond `_FURTHEST_SQUARED`."""
    weights = (log_p / 8).exp_()
    surplus = (difference / -8).expm1_()
    found = []
    for temperature in (8, 4, 2, 1):
        if temperature < 8:
            weights.square_()
            surplus.mul_(surplus + 2)
        total = weights.sum(dim=-1)
        mean = (weights * difference).sum(dim=-1) / (temperature * total)
        found.append((mean + ((weights * surplus).sum(dim=-1) / total).log1p()).clamp_min(0.0))
    return found[::-1]


def entropy(log_p: Tensor) -> Tensor:
    """-Σ p log p per frame in nats, shape (frames,)."""
    return -(log_p.exp() * log_p).sum(dim=-1)
