"""KL at the certificate's temperatures, each from the one before by squaring.

With d = log p - log q and β = 1/T, KL(p_T ‖ q_T) = E[β d] + log E[exp(-β d)] over p_T: a constant added to a
frame's d changes nothing, so what a codec decodes to need not be normalised. At T = 8, 4, 2 and 1 each
exponential is the square of the one before, so two exponentials do for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from softstore.scratch import scratch
from softstore.softening import CERTIFICATE_TEMPERATURES, kl_divergence, log_soften

_FURTHEST = 40.0
"""Nats of d; exp(40) times a probability is far from float32's end."""

_BLOCK_NUMBERS_ON_CPU, _BLOCK_NUMBERS = 1 << 20, 1 << 23
"""So many numbers of a matrix are worked on at a time: enough for products at full speed, and on a CPU few
enough for its last cache."""


def block_frames(log_posteriors: Tensor, multiple: int = 1) -> int:
    """How many of these frames, (frames, classes), to work on at a time: a multiple of ``multiple``."""
    numbers = _BLOCK_NUMBERS_ON_CPU if log_posteriors.device.type == "cpu" else _BLOCK_NUMBERS
    return max(numbers // (log_posteriors.shape[1] * multiple), 1) * multiple


class Softened:
    """Frames at T = 1, 2, 4 and 8: p_T but for its sum.

    The weights are this thread's `scratch`: they are good until the thread makes another of these.

    Attributes:
        log_p: normalised, shape (frames, classes), float32.
        weights: exp(log p / T) by temperature, each (frames, classes), float32.
    """

    def __init__(self, log_p: Tensor) -> None:
        weights = torch.mul(log_p, math.log2(math.e) / 8, out=scratch("T = 8", log_p)).exp2_()
        self.log_p = log_p
        self.weights = {8: weights}
        for temperature in (4, 2, 1):
            weights = torch.square(weights, out=scratch(f"T = {temperature}", log_p))
            self.weights[temperature] = weights

    def entropy(self) -> Tensor:
        """-Σ p log p at T = 1, in nats, shape (frames,)."""
        return -_dot(self.weights[1], self.log_p)

    def divergence(self, errors: Tensor) -> Tensor:
        """KL(p_T ‖ q_T) in nats at T = 1, 2, 4 and 8, shape (4, frames).

        Args:
            errors: log p - log q up to a constant a frame, (frames, classes).

        Returns:
            NaN for frames with an error beyond 40 nats: float32 holds neither it nor what it is a part of.
        """
        # Σ exp((log p - d) / T) less Σ exp(log p / T): the difference itself, so that small ones stay exact.
        surplus = torch.mul(errors, -math.log2(math.e) / 8, out=scratch("surplus", errors))
        surplus.exp2_().sub_(1).mul_(self.weights[8])
        found = []
        for temperature, weights in self.weights.items():
            if temperature < 8:
                before = self.weights[2 * temperature]
                surplus.mul_(torch.add(surplus, before, alpha=2, out=scratch("product", errors)))
            total = weights.sum(dim=-1)
            mean = _dot(weights, errors) / (temperature * total)
            found.append(mean + (surplus.sum(dim=-1) / total).log1p_())
        far = torch.maximum(errors.amax(dim=-1), -errors.amin(dim=-1)) > _FURTHEST
        return torch.stack(found[::-1]).clamp_min_(0.0).masked_fill_(far, math.nan)


def divergence_by_temperature(log_p: Tensor, log_q: Tensor, temperatures: Sequence[float]) -> list[Tensor]:
    """KL(p_T ‖ q_T) per frame in nats, each (frames,), from log p and log q at T = 1, (frames, classes).

    At other temperatures than the certificate's, and for frames that squaring overflows or loses, by its
    definition.
    """
    if tuple(temperatures) != CERTIFICATE_TEMPERATURES:
        return [kl_divergence(log_soften(log_p, t), log_soften(log_q, t)) for t in temperatures]
    frames = block_frames(log_p)
    found = torch.cat(
        [
            Softened(p).divergence(torch.sub(p, q, out=scratch("errors", p)))
            for p, q in zip(torch.split(log_p, frames), torch.split(log_q, frames), strict=True)
        ],
        dim=1,
    )
    far = found[0].isnan().nonzero().flatten()
    if len(far):
        for values, t in zip(found, temperatures, strict=True):
            values[far] = kl_divergence(log_soften(log_p[far], t), log_soften(log_q[far], t))
    return list(found)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Σ left · right over the classes, shape (frames,)."""
    return torch.mul(left, right, out=scratch("product", left)).sum(dim=-1)
