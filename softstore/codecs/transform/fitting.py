"""A transform codec from a sample of the teacher's outputs: a basis, steps, and codebooks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.transform.blocks import to_frequencies
from softstore.codecs.transform.codebook import fit_codebooks
from softstore.codecs.transform.codec import Transform
from softstore.errors import InvalidInputError

LOWEST_BOUND = 1e-5
"""Nats of a divergence. Below, float32's rounding shows: the float32 codec is for that."""

LOWEST_STEP = 1e-4
"""Nats; float32 has no finer ones for the log-posteriors of hardly possible classes."""

BLOCK_FRAMES = 8
"""Longer blocks save a few per cent of the bytes more, and make short spans dearer."""

_LARGEST = 127
_LEFT_OUT = 0.02
_HEADROOM = 1.25
"""The largest coefficient of the sample is to need no more than 127 / 1.25 steps."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a transform codec is to be.

    Attributes:
        step: of the coefficients, in nats.
        refined: classes corrected in each frame.
        refined_step: of the corrections, in nats.
        rank: at most so many components; None: as many as leave anything to store.
        max_kl: the bound of every frame, in nats.

    Raises:
        InvalidInputError: a step that is not a number above 0, or a number of classes or components, or a
            bound, that makes no sense.
    """

    step: float
    refined: int = 8
    refined_step: float = 0.25
    rank: int | None = None
    max_kl: float | None = None

    def __post_init__(self) -> None:
        for name, nats, lowest in (
            ("step", self.step, LOWEST_STEP),
            ("refined_step", self.refined_step, LOWEST_STEP),
            ("max_kl", self.max_kl, LOWEST_BOUND),
        ):
            if nats is not None and not (math.isfinite(nats) and nats >= lowest):
                raise InvalidInputError(
                    f"{name} must be a number of nats of at least {lowest:g}, not {nats}."
                )
        if self.refined < 0:
            raise InvalidInputError(
                f"{self.refined} classes of each frame cannot be corrected: choose 0 or more."
            )
        if self.rank is not None and self.rank < 1:
            raise InvalidInputError(f"A basis of {self.rank} components holds nothing: choose 1 or more.")

    def asked(self) -> dict[str, Any]:
        """For the record; JSON values."""
        return asdict(self)

    def fit(self, sample: Sequence[Tensor]) -> Transform:
        """The codec with these parameters for normalised log p, each (frames, classes), float32."""
        return fit(Basis(sample), self, self.asked())


class Basis:
    """The sample in its own Karhunen-Loève basis.

    Attributes:
        mean: shape (classes,), float32: of log p less each frame's mean.
        vectors: shape (classes, classes), float32: orthonormal rows, the greatest variance first.
        frequencies: shape (blocks, block frames, classes), float32: the sample's coefficients.
    """

    def __init__(self, sample: Sequence[Tensor], block_frames: int = BLOCK_FRAMES) -> None:
        """From normalised log p of some utterances, each (frames, classes), float32."""
        centred = torch.cat(list(sample))
        centred = centred - centred.mean(dim=-1, keepdim=True)
        self.mean = centred.mean(dim=0)
        centred -= self.mean
        # Directions without variance come out at random: so be it, their coefficients are 0.
        _, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        self.vectors = vectors.T.flip(0).contiguous()
        self._block_frames = block_frames
        self.frequencies = torch.cat([self.project(utterance) for utterance in sample])
        self._largest = self.frequencies.abs().amax(dim=0)
        self._power = self.frequencies.square().sum(dim=(0, 1))

    def project(self, log_posteriors: Tensor) -> Tensor:
        """Coefficients of one utterance, (frames, classes): shape (blocks, block frames, classes)."""
        centred = log_posteriors - log_posteriors.mean(dim=-1, keepdim=True) - self.mean
        return to_frequencies(centred @ self.vectors.T, self._block_frames)

    def steps(self, step: float, rank: int) -> Tensor:
        """Shape (block frames, rank): ``step``, but more where a coefficient would not fit into a byte."""
        return (self._largest[:, :rank] * (_HEADROOM / _LARGEST)).clamp_min(step)

    def rank(self, step: float, most: int | None) -> int:
        """How many components to keep: from 1 to ``most``, all but the last that hardly leave 0.

        What is left out adds less than `_LEFT_OUT` of the rounding errors' power.
        """
        # Components whose largest coefficient is rounded to 0 leave nothing at all.
        seen = int((self._largest.amax(dim=0) >= step / 2).long().cumsum(0).argmax()) + 1
        values = self.frequencies[:, :, :seen]
        rounding = (values - (values / step).round_() * step).square_().sum(dim=(0, 1))
        dearer = (self._power[:seen] - rounding).flip(0).cumsum(0).flip(0)
        errors = rounding.sum() + self._power[seen:].sum()
        rank = max(int((dearer > _LEFT_OUT * errors).sum()), 1)
        return rank if most is None else min(rank, most)


def fit(basis: Basis, parameters: Parameters, asked: Mapping[str, Any]) -> Transform:
    """The codec with these parameters.

    Args:
        asked: for the record, see `Transform`.

    Raises:
        InvalidInputError: more classes are to be corrected than there are.
    """
    if parameters.refined > len(basis.mean):
        raise InvalidInputError(
            f"{parameters.refined} classes of each frame were to be corrected, the teacher has "
            f"{len(basis.mean)}: choose fewer."
        )
    rank = basis.rank(parameters.step, parameters.rank)
    steps = basis.steps(parameters.step, rank)
    return Transform(
        basis.mean.numpy(),
        basis.vectors[:rank].to(torch.float16).numpy(),
        steps.numpy(),
        fit_codebooks(quantised(basis, steps)),
        parameters.refined,
        parameters.refined_step,
        parameters.max_kl,
        asked,
    )


def quantised(basis: Basis, steps: Tensor) -> NDArray[np.int32]:
    """The sample's coefficients in whole steps, shape (blocks, block frames * rank)."""
    values = (basis.frequencies[:, :, : steps.shape[1]] / steps).round_().clamp_(-_LARGEST, _LARGEST)
    return values.flatten(1).to(torch.int32).numpy()
