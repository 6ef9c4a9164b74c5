"""uint8: one byte a class, how far it lies below the frame's most probable one.

Each frame has its own step, 1/255 of its range: every log p moves by at most half a step, up to a constant
that normalisation removes, so by Hoeffding's lemma KL(p_T ‖ p̂_T) ≤ step² / 8T². Acoustic models span 20 to
50 nats a frame: steps of 1/12 to 1/5 nat.

Classes more than `DEEPEST` below the most probable one are lifted to it, lest one of them coarsen the whole
frame: this adds at most class_count · exp(-DEEPEST / T) to the divergence, and no step is above 1/2 nat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.base import FrameCodec, TrackSpec
from softstore.softening import check_temperature

STEPS = 255
DEEPEST = 127.5
"""Nats below the most probable class."""

_SMALLEST_STEP = 1e-6


@dataclass(frozen=True, slots=True)
class UInt8(FrameCodec):
    """log p relative to the frame's largest, in steps of 1/255 of the frame's range."""

    name: ClassVar[str] = "uint8"

    @classmethod
    def from_config(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> UInt8:
        return cls()

    def config(self) -> dict[str, Any]:
        return {"name": self.name}

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        return {"steps_below": TrackSpec("uint8", class_count), "step": TrackSpec("float32")}

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        highest = log_posteriors.amax(dim=-1, keepdim=True)
        span = (highest - log_posteriors.amin(dim=-1, keepdim=True)).clamp_max(DEEPEST)
        step = (span / STEPS).clamp_min(_SMALLEST_STEP)
        steps_below = (highest - log_posteriors).div_(step).round_().clamp_max_(STEPS)
        return {
            "steps_below": steps_below.to(torch.uint8).cpu().numpy(),
            "step": step[:, 0].cpu().numpy(),
        }

    def logits(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        return encoded["steps_below"] * (encoded["step"][:, None] / -check_temperature(temperature))
