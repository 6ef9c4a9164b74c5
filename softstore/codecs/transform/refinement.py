"""The classes of each frame that are corrected one by one, as a row of bytes.

A row has three parts of k bytes: the low and the high byte of each class's distance from the one before
(the first: from 0), classes rising, and the correction in steps, plus 128.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ZERO = 128
FURTHEST = 127
"""Corrections are clipped to so many steps up or down."""


def pack(classes: Tensor, steps: Tensor) -> NDArray[np.uint8]:
    """Shape (frames, 3k), from different classes and whole numbers of steps, both (frames, k)."""
    rising, order = classes.sort(dim=-1)
    distances = torch.diff(rising, dim=-1, prepend=torch.zeros_like(rising[:, :1]))
    values = steps.gather(-1, order).clamp(-FURTHEST, FURTHEST) + ZERO
    parts = torch.cat([distances & 0xFF, distances >> 8, values.to(distances.dtype)], dim=-1)
    return parts.to(torch.uint8).cpu().numpy()


def unpack(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Classes, int64, and corrections in steps, float32, both (frames, k), from (frames, 3k)."""
    low, high, values = rows.to(torch.int32).tensor_split(3, dim=-1)
    classes = (low + (high << 8)).cumsum(dim=-1)
    return classes, (values - ZERO).float()
