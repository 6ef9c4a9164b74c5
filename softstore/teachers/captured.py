"""A teacher of the user's own whose answers are captured at another temperature than 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from softstore.teachers.base import Batched, Movable, Teacher
from softstore.teachers.declared import at_temperature


@dataclass(frozen=True, slots=True)
class CapturedTeacher:
    """The same teacher, with its temperature in fingerprint and description."""

    teacher: Teacher
    capture_temperature: float

    @property
    def class_count(self) -> int | None:
        return self.teacher.class_count

    @property
    def fingerprint(self) -> str:
        return at_temperature(self.teacher.fingerprint, self.capture_temperature)

    @property
    def description(self) -> Mapping[str, Any]:
        return {**self.teacher.description, "capture_temperature": self.capture_temperature}

    def log_posteriors(self, features: Tensor) -> Tensor:
        return self.teacher.log_posteriors(features)

    def log_posteriors_batch(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        if isinstance(self.teacher, Batched):
            return self.teacher.log_posteriors_batch(features)
        return [self.teacher.log_posteriors(one) for one in features]

    def to(self, device: torch.device) -> CapturedTeacher:
        moved = self.teacher.to(device) if isinstance(self.teacher, Movable) else self.teacher
        return replace(self, teacher=moved)
