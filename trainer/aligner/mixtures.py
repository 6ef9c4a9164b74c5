"""Mixtures of diagonal Gaussians, one mixture per distribution, all of the same size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

VARIANCE_FLOOR = 0.05
"""Least variance, where the features have unit variance over all frames."""

COMPONENT_FRAMES = 10
"""A Gaussian that fewer frames speak for keeps its shape and all but loses its weight."""

LEAST_WEIGHT = 1e-4
SPLIT_STEP = 0.2
"""How far, in standard deviations, the two halves of a split Gaussian are moved apart."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Frames sorted by the distribution they are aligned to.

    Attributes:
        frames: shape (frames, dims), float32.
        offsets: shape (distributions + 1,): where each distribution's frames begin.
    """

    frames: Floats
    offsets: NDArray[np.int64]

    @classmethod
    def by_distribution(cls, frames: Floats, distributions: NDArray[np.int32], count: int) -> Grouped:
        order = np.argsort(distributions, kind="stable")
        return cls(frames[order], np.searchsorted(distributions[order], np.arange(count + 1)))

    def __iter__(self) -> Iterator[Floats]:
        for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.frames[begin:end]


@dataclass(frozen=True, slots=True)
class Mixtures:
    """The acoustic model.

    Attributes:
        weights: shape (distributions, components), float32, rows sum to 1.
        means, variances: shape (distributions, components, dims), float32.
    """

    weights: Floats
    means: Floats
    variances: Floats
    _linear: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # log w N(x; m, v) = [x², x, 1] · these coefficients: scoring frames is one matrix product.
        precision = 1.0 / self.variances
        constant = np.log(self.weights) - 0.5 * (
            np.log(2 * np.pi * self.variances) + self.means * self.means * precision
        ).sum(axis=2)
        parts = [-0.5 * precision, self.means * precision, constant[:, :, None]]
        object.__setattr__(self, "_linear", np.concatenate(parts, axis=2).astype(np.float32))

    @property
    def distributions(self) -> int:
        return len(self.weights)

    @property
    def components(self) -> int:
        """Gaussians per distribution."""
        return int(self.weights.shape[1])

    @classmethod
    def single(cls, grouped: Grouped) -> Mixtures:
        """One Gaussian per distribution; one without enough frames is as wide as all frames together."""
        count = len(grouped.offsets) - 1
        start = cls(
            np.ones((count, 1), dtype=np.float32),
            np.tile(grouped.frames.mean(axis=0).astype(np.float32), (count, 1, 1)),
            np.tile(np.maximum(grouped.frames.var(axis=0), VARIANCE_FLOOR), (count, 1, 1)),
        )
        return start.reestimated(grouped)

    def doubled(self) -> Mixtures:
        """Every Gaussian split in two, moved apart along its standard deviations."""
        step = SPLIT_STEP * np.sqrt(self.variances)
        return Mixtures(
            np.concatenate([self.weights, self.weights], axis=1) * np.float32(0.5),
            np.concatenate([self.means + step, self.means - step], axis=1),
            np.concatenate([self.variances, self.variances], axis=1),
        )

    def reestimated(self, grouped: Grouped) -> Mixtures:
        """One step of expectation-maximisation on the frames of each distribution."""
        weights, means, variances = self.weights.copy(), self.means.copy(), self.variances.copy()
        for index, frames in enumerate(grouped):
            if not len(frames):
                continue
            extended = _extended(frames)
            scores = extended @ self._linear[index].T
            scores -= scores.max(axis=1, keepdims=True)
            shares = np.exp(scores)
            shares /= shares.sum(axis=1, keepdims=True)
            moments = shares.T @ extended
            counts = moments[:, -1]
            enough = counts >= COMPONENT_FRAMES
            dims = frames.shape[1]
            mean = moments[enough, dims:-1] / counts[enough, None]
            means[index, enough] = mean
            variances[index, enough] = np.maximum(
                moments[enough, :dims] / counts[enough, None] - mean * mean, VARIANCE_FLOOR
            )
            weight = np.maximum(np.where(enough, counts, 0) / len(frames), LEAST_WEIGHT)
            weights[index] = weight / weight.sum()
        return Mixtures(weights, means, variances)

    def log_likelihoods(self, frames: Floats, distributions: NDArray[np.int32]) -> Floats:
        """Natural log densities.

        Args:
            frames: shape (frames, dims).
            distributions: shape (n,): which ones to score.

        Returns:
            Shape (frames, n), float32.
        """
        chosen = self._linear[distributions]
        count, components, width = chosen.shape
        scores = _extended(frames) @ chosen.reshape(-1, width).T
        if components == 1:
            return scores
        by_component = scores.reshape(len(frames), count, components)
        highest = by_component.max(axis=2)
        by_component -= highest[:, :, None]
        np.exp(by_component, out=by_component)
        result: Floats = np.log(by_component.sum(axis=2)) + highest
        return result


def _extended(frames: Floats) -> Floats:
    return np.concatenate([frames * frames, frames, np.ones((len(frames), 1), np.float32)], axis=1)
