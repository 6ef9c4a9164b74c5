"""The classes of each frame that are corrected one by one, as a row of bytes.

A row has three parts of k bytes: the low and the high byte of each class's distance from the one before
(the first: from 0), classes rising, and the correction in steps, plus 128.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softstore.scratch import scratch

ZERO = 128
FURTHEST = 127
"""Corrections are clipped to so many steps up or down."""

_STRIDES = 8


def heaviest(p: Tensor, root: Tensor, errors: Tensor, refined: int, step: float) -> tuple[Tensor, Tensor]:
    """The ``refined`` classes of each frame to correct, and by how many steps; both (frames, refined).

    They are those whose errors count most at T = 1 and 2: KL ≈ Var_p(error) / 2T², of class i
    p_T(i) error² / T². √p is p at T = 2 but for its sum.

    Args:
        p, root: p and √p, both (frames, classes).
        errors: in nats, (frames, classes).
    """
    losses = torch.addcmul(p, root, 0.25 / root.sum(dim=-1, keepdim=True), out=scratch("losses", errors))
    classes = _largest(losses.mul_(errors).mul_(errors), refined)
    steps = (errors.gather(-1, classes) / step).round_().clamp_(-FURTHEST, FURTHEST)
    return classes, steps


def _largest(values: Tensor, count: int) -> Tensor:
    """Where the ``count`` largest numbers of each row are, (rows, count), in any order.

    Looking through the largest of every eight first takes half the time of looking through all.
    """
    width = values.shape[1] // _STRIDES
    if width < count:
        return values.topk(count, dim=-1, sorted=False).indices
    peaks = values[:, : _STRIDES * width].reshape(-1, _STRIDES, width).amax(dim=1)
    columns = peaks.topk(count, dim=-1, sorted=False).indices
    strides = torch.arange(_STRIDES, device=values.device) * width
    rest = torch.arange(_STRIDES * width, values.shape[1], device=values.device).expand(len(values), -1)
    candidates = torch.cat([(columns[:, None] + strides[:, None]).flatten(1), rest], dim=-1)
    best = values.gather(-1, candidates).topk(count, dim=-1, sorted=False).indices
    return candidates.gather(-1, best)


def pack(classes: Tensor, steps: Tensor) -> Tensor:
    """Shape (frames, 3k), uint8, from different classes and whole numbers of steps, both (frames, k)."""
    rising, order = classes.sort(dim=-1)
    distances = torch.diff(rising, dim=-1, prepend=torch.zeros_like(rising[:, :1]))
    values = steps.gather(-1, order).clamp(-FURTHEST, FURTHEST) + ZERO
    parts = torch.cat([distances & 0xFF, distances >> 8, values.to(distances.dtype)], dim=-1)
    return parts.to(torch.uint8)


def unpack(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Classes, int64, and corrections in steps, float32, both (frames, k), from (frames, 3k)."""
    low, high, values = rows.to(torch.int32).tensor_split(3, dim=-1)
    classes = (low + (high << 8)).cumsum(dim=-1)
    return classes, (values - ZERO).float()
