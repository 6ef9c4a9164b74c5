"""topk: the k most probable classes, and how much the others weigh at several temperatures.

With β = 1/T, p_T(i) = exp(β log p_i) / (Σ_top exp(β log p) + exp R(β)), where the tail's log-partition
R(β) = log Σ_tail exp(β log p) is stored at β = 1, 1/2, 1/4, 1/8 and known at 0: there it is the logarithm of
the number of tail classes. R is convex, so the straight line between two stored values bounds it from above;
`decode` uses that line. The tail's mass is spread evenly over its classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.base import TrackSpec
from softstore.errors import FormatError, InvalidInputError
from softstore.softening import check_temperature

STEPS_PER_NAT = 256
"""log p of the k classes is stored as -log p x 256, rounded, in uint16: down to -255.99 nats."""

LOWEST_TAIL = -60000.0
"""Stored for a tail without any mass in float32."""

_BLOCK_FRAMES = 128
"""Frames encoded at a time: few enough that everything stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class TopK:
    """The k most probable classes by falling probability, and R(β) at each of ``betas`` (falling)."""

    k: int = 64
    betas: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    name: ClassVar[str] = "topk"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidInputError(f"topk keeps at least one class, not {self.k}.")
        falling = all(left > right for left, right in pairwise((*self.betas, 0.0)))
        if not self.betas or not falling:
            raise InvalidInputError(f"topk needs falling values of β above 0, not {self.betas}.")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TopK:
        try:
            return cls(int(config["k"]), tuple(float(beta) for beta in config["betas"]))
        except (KeyError, TypeError, ValueError, InvalidInputError) as error:
            raise FormatError(f"The store's topk parameters are unreadable: {dict(config)!r}.") from error

    def config(self) -> dict[str, Any]:
        return {"name": self.name, "k": self.k, "betas": list(self.betas)}

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        if not self.k < class_count <= 1 << 16:
            raise InvalidInputError(
                f"topk with k = {self.k} needs {self.k + 1} to 65,536 classes; the teacher has {class_count}."
            )
        return {
            "classes": TrackSpec("uint16", self.k),
            "log_posteriors": TrackSpec("uint16", self.k),
            "tail": TrackSpec("float16", len(self.betas)),
        }

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        blocks = [self._encode_block(block) for block in torch.split(log_posteriors, _BLOCK_FRAMES)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    def _encode_block(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        top, classes = log_posteriors.topk(self.k, dim=-1)
        tail = log_posteriors.scatter(-1, classes, -math.inf)
        partitions = torch.stack([(beta * tail).logsumexp(dim=-1) for beta in self.betas], dim=-1)
        steps = (-STEPS_PER_NAT * top).round().clamp(0, 2**16 - 1)
        return {
            "classes": classes.cpu().numpy().astype(np.uint16),
            "log_posteriors": steps.cpu().numpy().astype(np.uint16),
            "tail": partitions.clamp_min(LOWEST_TAIL).to(torch.float16).cpu().numpy(),
        }

    def decode(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        beta = 1.0 / check_temperature(temperature)
        classes = encoded["classes"].long()
        top = encoded["log_posteriors"].float() * (-beta / STEPS_PER_NAT)
        tail_classes = class_count - self.k
        tail = self._tail(encoded["tail"].float(), beta, tail_classes)
        each = tail - math.log(tail_classes)
        dense = each.expand(-1, class_count).scatter(-1, classes, top)
        return torch.log_softmax(dense, dim=-1)

    def _tail(self, partitions: Tensor, beta: float, tail_classes: int) -> Tensor:
        """R(β), shape (frames, 1), on the straight line through the two stored values around β."""
        knots = [*self.betas, 0.0]
        at_zero = torch.full_like(partitions[:, :1], math.log(tail_classes))
        values = torch.cat([partitions, at_zero], dim=-1)
        right = next((n for n in range(1, len(knots)) if knots[n] <= beta), len(knots) - 1)
        left = right - 1
        share = (beta - knots[right]) / (knots[left] - knots[right])
        line = values[:, right] + share * (values[:, left] - values[:, right])
        if beta > knots[0]:
            # Beyond the first stored β the line runs below the convex R, but R(β) ≤ β R(1) always holds.
            line = torch.minimum(line, beta / knots[0] * values[:, 0])
        return line[:, None]
