"""A small teacher that leaves a trace: what it was asked, by whom, also if that process is killed.

The environment says where (OBSERVED_IN, a directory) and how slow it is (OBSERVED_PAUSE, seconds an answer).
Every process that loads it has a file there, named by its number, with a line for the frames of every answer.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.random_corpus import CLASSES, DIMENSIONS

SPEC = f"{__name__}:load"


@dataclass
class ObservedTeacher:
    """Logits are a fixed random linear map of the features."""

    trace: Path | None = None
    pause: float = 0.0
    class_count: int = CLASSES
    fingerprint: str = "a random linear map"
    description: dict[str, Any] = field(default_factory=lambda: {"model": "linear"})

    def __post_init__(self) -> None:
        self._weights = torch.randn(DIMENSIONS, CLASSES, generator=torch.Generator().manual_seed(0))
        if self.trace is not None:
            self.trace.touch()

    def log_posteriors(self, features: Tensor) -> Tensor:
        """Logits, (frames, classes), of features, (frames, dimensions)."""
        time.sleep(self.pause)
        if self.trace is not None:
            with self.trace.open("a") as file:
                file.write(f"{len(features)}\n")
        return features @ self._weights


def load() -> ObservedTeacher:
    place = os.environ.get("OBSERVED_IN")
    trace = Path(place, str(os.getpid())) if place else None
    return ObservedTeacher(trace, float(os.environ.get("OBSERVED_PAUSE", "0")))


def frames_asked(place: Path) -> int:
    """Frames of all answers that were given."""
    return sum(int(line) for trace in place.iterdir() for line in trace.read_text().split())
