"""What the Gaussians model: cepstra with deltas, normalised by speaker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CEPSTRA = 13
DELTA_WINDOW = 2


def cepstra(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """13 cepstra of log-mel energies (orthonormal DCT-II), their deltas and double deltas.

    Args:
        log_mel: shape (frames, bands).

    Returns:
        Shape (frames, 39), float32. Deltas are regressions over ±2 frames, edges repeated, as in Kaldi.
    """
    bands = log_mel.shape[1]
    angles = np.pi / bands * (np.arange(bands)[:, None] + 0.5) * np.arange(CEPSTRA)
    dct = np.cos(angles) * np.sqrt(2.0 / bands)
    dct[:, 0] = np.sqrt(1.0 / bands)
    static = log_mel @ dct.astype(np.float32)
    delta = _deltas(static)
    return np.concatenate([static, delta, _deltas(delta)], axis=1)


def normalised(utterances: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Zero mean and unit variance in every dimension over all frames of these utterances (one speaker's)."""
    frames = np.concatenate(utterances)
    mean = frames.mean(axis=0, dtype=np.float64)
    spread = np.maximum(frames.std(axis=0, dtype=np.float64), 1e-3)
    return [((features - mean) / spread).astype(np.float32) for features in utterances]


def _deltas(features: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = len(features)
    if not frames:
        return features
    padded = np.pad(features, ((DELTA_WINDOW, DELTA_WINDOW), (0, 0)), mode="edge")
    result = np.zeros_like(features)
    for offset in range(1, DELTA_WINDOW + 1):
        ahead, behind = DELTA_WINDOW + offset, DELTA_WINDOW - offset
        result += offset * (padded[ahead : ahead + frames] - padded[behind : behind + frames])
    return result / np.float32(2 * sum(offset * offset for offset in range(1, DELTA_WINDOW + 1)))
