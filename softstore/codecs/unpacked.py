"""Unpacked frames: one row a frame in every array, but for the values of escalated frames.

Those are listed apart, in order: ``overflow_frames`` says which frame each row of ``overflow_classes`` and
``overflow_values`` belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

OVERFLOW_ROWS = "overflow_rows"
"""The track that says how many rows of exact values each frame has."""

OVERFLOW_FRAMES = "overflow_frames"
OVERFLOW = (OVERFLOW_FRAMES, "overflow_classes", "overflow_values")


def span(unpacked: Mapping[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    """Frames ``start`` … ``stop`` (exclusive), counted from 0 again."""
    taken = {name: rows[start:stop] for name, rows in unpacked.items() if name not in OVERFLOW}
    if OVERFLOW_FRAMES in unpacked:
        frames = unpacked[OVERFLOW_FRAMES]
        inside = (frames >= start) & (frames < stop)
        if bool(inside.any()):
            taken |= {name: unpacked[name][inside] for name in OVERFLOW}
            taken[OVERFLOW_FRAMES] = taken[OVERFLOW_FRAMES] - start
    return taken


def select(unpacked: Mapping[str, Tensor], frames: Tensor) -> dict[str, Tensor]:
    """The frames with these numbers, (n,), int64, all different, in this order."""
    taken = {name: rows[frames] for name, rows in unpacked.items() if name not in OVERFLOW}
    if OVERFLOW_FRAMES in unpacked:
        count = len(next(rows for name, rows in unpacked.items() if name not in OVERFLOW))
        places = frames.new_full((count,), -1)
        places[frames] = torch.arange(len(frames), device=frames.device)
        wanted = places[unpacked[OVERFLOW_FRAMES]]
        taken |= {name: unpacked[name][wanted >= 0] for name in OVERFLOW}
        taken[OVERFLOW_FRAMES] = wanted[wanted >= 0]
    return taken
