"""float32: log-posteriors as they are. Exact and very large: the reference, and for debugging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.base import FrameCodec, TrackSpec
from softstore.softening import check_temperature


@dataclass(frozen=True, slots=True)
class Float32(FrameCodec):
    """log p of every class as float32, bit for bit."""

    name: ClassVar[str] = "float32"

    @classmethod
    def from_config(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Float32:
        return cls()

    def config(self) -> dict[str, Any]:
        return {"name": self.name}

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        return {"log_posteriors": TrackSpec("float32", class_count)}

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        return {"log_posteriors": log_posteriors.float().cpu().numpy()}

    def logits(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        return encoded["log_posteriors"] / check_temperature(temperature)
