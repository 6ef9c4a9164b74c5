"""A teacher that is a function of one utterance's features: a module, a function, an exported program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class CalledTeacher:
    """A function as `softstore.teacher.Teacher`; features go to its device first.

    Attributes:
        call: (frames, dimensions) float32 → logits or log p, (frames, classes).
    """

    call: Callable[[Tensor], Tensor]
    fingerprint: str
    description: Mapping[str, Any]
    class_count: int | None = None
    capture_temperature: float = 1.0
    device: torch.device = CPU

    def log_posteriors(self, features: Tensor) -> Tensor:
        return self.call(features.to(self.device, non_blocking=True))

    def to(self, device: torch.device) -> CalledTeacher:
        """Modules and programs move; a function gets its features there."""
        move = getattr(self.call, "to", None)
        return replace(self, call=self.call if move is None else move(device), device=device)
