"""What a teacher is to the generation job, and how one is found."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor

from softstore.errors import InvalidInputError, NotFoundError

ENTRY_POINTS = "softstore.teachers"


class Teacher(Protocol):
    """Maps features to posteriors, one utterance at a time; several threads may ask at once."""

    @property
    def class_count(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the posteriors may: with weights, architecture, or feature configuration."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """What to record about it; JSON values."""
        ...

    def log_posteriors(self, features: Tensor) -> Tensor:
        """log p at T = 1, shape (frames, classes), float32, from features (frames, dimensions), float32."""
        ...


def load_teacher(path: Path) -> Teacher:
    """The teacher saved in a directory, by whichever installed package recognises it.

    Packages register ``(path) -> Teacher | None`` under the entry-point group ``softstore.teachers``.

    Raises:
        NotFoundError: there is no such directory.
        InvalidInputError: nobody recognises it.
    """
    if not path.is_dir():
        raise NotFoundError(f"There is no teacher at {path}: train one with `softstore teacher train`.")
    for entry_point in entry_points(group=ENTRY_POINTS):
        teacher = entry_point.load()(path)
        if teacher is not None:
            return cast(Teacher, teacher)
    raise InvalidInputError(f"{path} holds no teacher that an installed package can load.")
