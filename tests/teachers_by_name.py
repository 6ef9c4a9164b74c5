"""Teachers that processes import by name; the environment says how they behave.

- TEACHER_PAUSE: seconds that each utterance takes.
- TEACHER_SEED: of the weights.
- TEACHER_RAISES_AT: utterances of so many frames, with commas in between, are beyond it.
- TEACHER_SEEN_BY: a directory where every process that is asked leaves a file with its number.
- TEACHER_WAITS_AFTER: so many utterances, until a second process has left a file, too.
- TEACHER_TREMBLES: every process answers a little differently, and the fingerprint does not tell.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tests.samples import LinearTeacher

LINEAR = f"{__name__}:linear"


@dataclass
class Behaving(LinearTeacher):
    pause: float = 0.0
    raises_at: tuple[int, ...] = ()
    seen_by: str | None = None
    waits_after: float = math.inf
    asked: int = 0
    trembles: bool = False

    def log_posteriors(self, features: Tensor) -> Tensor:
        time.sleep(self.pause)
        if self.seen_by is not None:
            Path(self.seen_by, str(os.getpid())).touch()
            while self.asked >= self.waits_after and len(list(Path(self.seen_by).iterdir())) < 2:
                time.sleep(0.01)
            self.asked += 1
        if len(features) in self.raises_at:
            raise ValueError("no idea")
        found = super().log_posteriors(features)
        if self.trembles:
            own = torch.Generator().manual_seed(os.getpid())
            found = found + 1e-3 * torch.randn(found.shape, generator=own)
        return found


def linear() -> Behaving:
    """A `LinearTeacher`, with its fingerprint."""
    return Behaving(
        seed=int(os.environ.get("TEACHER_SEED", "0")),
        pause=float(os.environ.get("TEACHER_PAUSE", "0")),
        raises_at=tuple(map(int, os.environ.get("TEACHER_RAISES_AT", "0").split(","))),
        seen_by=os.environ.get("TEACHER_SEEN_BY"),
        waits_after=float(os.environ.get("TEACHER_WAITS_AFTER", "inf")),
        trembles="TEACHER_TREMBLES" in os.environ,
    )
