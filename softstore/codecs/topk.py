"""topk: the k most probable classes, and how much the others weigh at several temperatures.

With β = 1/T, p_T(i) = exp(β log p_i) / (Σ_top exp(β log p) + exp R(β)), where the tail's log-partition
R(β) = log Σ_tail exp(β log p) is stored at β = 1, 1/2, 1/4, 1/8 and known at 0: there it is the logarithm of
the number of tail classes. R is convex, so the straight line between two stored values bounds it from above;
`decode` uses that line. The tail's mass is spread evenly over its classes.

Classes are numbers of 16 bits, and so are the differences of log p from each class to the next. Both are
stored as k low bytes followed by k high bytes, which are compressed apart: high bytes are nearly all small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.base import FrameCodec, TrackSpec
from softstore.errors import FormatError, InvalidInputError
from softstore.softening import check_temperature

STEPS_PER_NAT = 256
"""log p of the k classes is stored as -log p x 256, rounded, in 16 bits: down to -255.99 nats."""

LOWEST_TAIL = -60000.0
"""Stored for a tail without any mass in float32."""

_BLOCK_FRAMES = 128
"""Frames encoded at a time: few enough that everything stays in the processor's cache."""


class Head(NamedTuple):
    """The k classes that were kept of each frame, and all others as one.

    Attributes:
        classes: (frames, k), int64.
        log_posteriors: log p_T of each, (frames, k), float32.
        log_tail: the logarithm of what the others have together, (frames, 1), float32.
    """

    classes: Tensor
    log_posteriors: Tensor
    log_tail: Tensor

    def renormalised(self) -> Head:
        """As if the others had nothing."""
        log_p = self.log_posteriors
        return Head(
            self.classes,
            log_p - log_p.logsumexp(dim=-1, keepdim=True),
            torch.full_like(self.log_tail, -math.inf),
        )


@dataclass(frozen=True, slots=True)
class TopK(FrameCodec):
    """The k most probable classes by falling probability, and R(β) at each of ``betas`` (falling)."""

    k: int = 64
    betas: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    name: ClassVar[str] = "topk"
    full_support: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidInputError(f"topk keeps at least one class, not {self.k}.")
        falling = all(left > right for left, right in pairwise((*self.betas, 0.0)))
        if not self.betas or not falling:
            raise InvalidInputError(f"topk needs falling values of β above 0, not {self.betas}.")

    @classmethod
    def from_config(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> TopK:
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
        low_and_high = TrackSpec("uint8", 2 * self.k, chunk_width=self.k)
        return {
            "classes": low_and_high,
            "log_posteriors": low_and_high,
            "tail": TrackSpec("float16", len(self.betas)),
        }

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        blocks = [self._encode_block(block) for block in torch.split(log_posteriors.cpu(), _BLOCK_FRAMES)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    def _encode_block(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        classes, top = _most_probable(log_posteriors.numpy(), self.k)
        steps = np.clip(np.rint(-STEPS_PER_NAT * top), 0, 2**16 - 1).astype(np.int32)
        tail = log_posteriors.scatter(-1, torch.from_numpy(classes), -math.inf)
        return {
            "classes": _low_and_high(classes),
            "log_posteriors": _low_and_high(np.diff(steps, axis=1, prepend=0)),
            "tail": self._partitions(tail).clamp_min(LOWEST_TAIL).to(torch.float16).numpy(),
        }

    def _partitions(self, tail: Tensor) -> Tensor:
        """R(β) at each of ``betas``, shape (frames, betas)."""
        highest = tail.amax(dim=-1, keepdim=True)
        partitions = []
        before = self.betas[-1]
        weights = ((tail - highest) * before).exp_()
        for beta in reversed(self.betas):
            # Raising to a power is much cheaper than another exponential: it is a square by default.
            weights = weights.pow_(beta / before)
            partitions.append(weights.sum(dim=-1).log_() + beta * highest[:, 0])
            before = beta
        return torch.stack(partitions[::-1], dim=-1)

    def logits(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        classes, top, tail = self._partition(encoded, class_count, temperature)
        each = tail - math.log(class_count - self.k)
        return each.expand(-1, class_count).scatter(-1, classes, top)

    def head(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Head:
        """What is known of each frame at a temperature, without spreading the tail over its classes."""
        classes, top, tail = self._partition(encoded, class_count, temperature)
        log_p = torch.log_softmax(torch.cat([top, tail], dim=-1), dim=-1)
        return Head(classes, log_p[:, :-1], log_p[:, -1:])

    def _partition(
        self, encoded: Mapping[str, Tensor], class_count: int, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The k classes and β log p of each, (frames, k), and R(β), (frames, 1)."""
        beta = 1.0 / check_temperature(temperature)
        classes = _joined(encoded["classes"])
        top = _joined(encoded["log_posteriors"]).cumsum(dim=-1) * (-beta / STEPS_PER_NAT)
        return classes, top, self._tail(encoded["tail"].float(), beta, class_count - self.k)

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


def _most_probable(
    log_posteriors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Classes and their log p by falling probability, each (frames, k); twice as fast as torch.topk."""
    found = np.argpartition(log_posteriors, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(log_posteriors, found, axis=1), axis=1, kind="stable")
    classes = np.take_along_axis(found, order, axis=1)
    return classes, np.take_along_axis(log_posteriors, classes, axis=1)


def _low_and_high(numbers: NDArray[np.signedinteger[Any]]) -> NDArray[np.uint8]:
    """Numbers below 2¹⁶, (frames, k), as their low and then their high bytes, (frames, 2k)."""
    return np.concatenate([numbers & 0xFF, numbers >> 8], axis=1).astype(np.uint8)


def _joined(low_and_high: Tensor) -> Tensor:
    """The numbers, (frames, k), int64."""
    low, high = low_and_high.long().chunk(2, dim=-1)
    return low + 256 * high
