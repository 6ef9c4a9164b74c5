"""Which sets of phones a tree may ask about: found in the data, by clustering phones top-down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REFINEMENTS = 20
"""At most this many rounds of moving phones between the two halves of a split."""


def log_likelihood(moments: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood of frames under their own diagonal Gaussian, up to a constant per frame.

    Args:
        moments: shape (..., 1 + 2 * dims): frame count, sum, sum of squares.
        floor: shape (dims,): the least variance.

    Returns:
        Shape (...): ``-count / 2 · Σ log variance``; what is left out depends on the count alone and
        cancels in every gain.
    """
    dims = len(floor)
    count = moments[..., :1]
    safe = np.maximum(count, 1e-10)
    mean = moments[..., 1 : 1 + dims] / safe
    variance = np.maximum(moments[..., 1 + dims :] / safe - mean * mean, floor)
    result: NDArray[np.float64] = -0.5 * count[..., 0] * np.log(variance).sum(axis=-1)
    return result


def phone_sets(moments: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Split the phones in two, and each half again, down to single phones; every part is a set to ask about.

    Args:
        moments: shape (phones, 1 + 2 * dims): one Gaussian's statistics per phone; phones without frames
            are in no set.
        floor: shape (dims,): the least variance.

    Returns:
        Shape (sets, phones): membership. Two sets that part all phones between them ask the same once.
    """
    present = np.flatnonzero(moments[:, 0] > 0)
    sets: list[NDArray[np.intp]] = []
    waiting = [present] if len(present) > 1 else []
    while waiting:
        whole = waiting.pop()
        first, second = _split(moments, floor, whole)
        sets += [first] if len(whole) == len(present) else [first, second]
        waiting += [part for part in (first, second) if len(part) > 1]
    membership = np.zeros((len(sets), len(moments)), dtype=np.bool_)
    for row, members in enumerate(sets):
        membership[row, members] = True
    return membership


def _split(
    moments: NDArray[np.float64], floor: NDArray[np.float64], members: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two-means under diagonal Gaussians, from a cut across the phones' direction of largest spread."""
    own = moments[members]
    dims = len(floor)
    means = own[:, 1 : 1 + dims] / own[:, :1]
    scaled = (means - means.mean(axis=0)) / np.sqrt(floor)
    along = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][0]
    second = along > np.median(along)
    if not second.any():
        second[-1] = True
    best = log_likelihood(np.stack([own[~second].sum(axis=0), own[second].sum(axis=0)]), floor).sum()
    for _ in range(REFINEMENTS):
        halves = np.stack([own[~second].sum(axis=0), own[second].sum(axis=0)])
        moved = _nearer_second(own, halves, floor)
        if moved.all() or not moved.any():
            break
        likelihood = log_likelihood(np.stack([own[~moved].sum(axis=0), own[moved].sum(axis=0)]), floor).sum()
        if likelihood <= best:
            break
        second, best = moved, likelihood
    return members[~second], members[second]


def _nearer_second(
    own: NDArray[np.float64], halves: NDArray[np.float64], floor: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which phones' frames are likelier under the Gaussian of the second half."""
    dims = len(floor)
    means = halves[:, 1 : 1 + dims] / halves[:, :1]
    variances = np.maximum(halves[:, 1 + dims :] / halves[:, :1] - means * means, floor)
    count, total, squares = own[:, :1], own[:, 1 : 1 + dims], own[:, 1 + dims :]
    scores = []
    for mean, variance in zip(means, variances, strict=True):
        distance = (squares - 2 * total * mean + count * mean * mean) / variance
        scores.append(-0.5 * (distance + count * np.log(variance)).sum(axis=1))
    nearer: NDArray[np.bool_] = scores[1] > scores[0]
    return nearer
