"""Frames ↔ blocks of neighbouring frames, and the cosine transform along them."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

_CPU = torch.device("cpu")


@cache
def cosine_matrix(block_frames: int, device: torch.device = _CPU) -> Tensor:
    """The orthonormal DCT-II, shape (frequencies, frames), float32; its transpose is its inverse."""
    frames = torch.arange(block_frames, dtype=torch.float64)
    angles = math.pi / block_frames * frames[:, None] * (frames + 0.5)
    matrix = math.sqrt(2 / block_frames) * angles.cos()
    matrix[0] /= math.sqrt(2)
    return matrix.float().to(device)


def to_frequencies(frames: Tensor, block_frames: int) -> Tensor:
    """Shape (blocks, block frames, width) from (frames, width): each block's frequencies, the lowest first.

    A last block that is not full is filled up with its last frame, which adds the least to its frequencies.
    """
    missing = -len(frames) % block_frames
    if missing:
        frames = torch.cat([frames, frames[-1:].expand(missing, -1)])
    blocks = frames.view(-1, block_frames, frames.shape[1])
    return torch.matmul(cosine_matrix(block_frames, frames.device), blocks)


def from_frequencies(frequencies: Tensor) -> Tensor:
    """Shape (blocks * block frames, width) from (blocks, block frames, width)."""
    inverse = cosine_matrix(frequencies.shape[1], frequencies.device).T
    return torch.matmul(inverse, frequencies).flatten(0, 1)
