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


def error_weights(log_posteriors: Tensor) -> Tensor:
    """What an error of each class counts at T = 1 and 2, from normalised log p; both (frames, classes).

    KL ≈ Var_p(error) / 2T²: of class i, p_T(i) error² / T². √p is p at T = 2 but for its sum.
    """
    root = (log_posteriors / 2).exp_()
    return root.square() + root / (4 * root.sum(dim=-1, keepdim=True))


def heaviest(weights: Tensor, errors: Tensor, refined: int, step: float) -> tuple[Tensor, Tensor]:
    """The ``refined`` classes of each frame to correct, and by how many steps; both (frames, refined)."""
    classes = (weights * errors.square()).topk(refined, dim=-1, sorted=False).indices
    steps = (errors.gather(-1, classes) / step).round_().clamp_(-FURTHEST, FURTHEST)
    return classes, steps


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
