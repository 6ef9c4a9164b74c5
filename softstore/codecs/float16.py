"""float16: log-posteriors in half precision; large. log p moves by at most 2⁻¹¹ of itself."""

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

LOWEST = -65504.0
"""The most negative finite float16; log-probabilities below it are stored as it."""


@dataclass(frozen=True, slots=True)
class Float16(FrameCodec):
    """log p of every class as float16."""

    name: ClassVar[str] = "float16"

    @classmethod
    def from_config(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Float16:
        return cls()

    def config(self) -> dict[str, Any]:
        return {"name": self.name}

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        return {"log_posteriors": TrackSpec("float16", class_count)}

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        return {"log_posteriors": log_posteriors.clamp_min(LOWEST).to(torch.float16).cpu().numpy()}

    def logits(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        return encoded["log_posteriors"].float().div_(check_temperature(temperature))
