"""Parameters from what is asked of the store: how far decoded posteriors may be from the teacher's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.transform.blocks import from_frequencies
from softstore.codecs.transform.codec import OVERFLOW_WIDTH, Transform
from softstore.codecs.transform.fitting import BLOCK_FRAMES, LOWEST_BOUND, Basis, Parameters, fit, quantised
from softstore.codecs.transform.refinement import heaviest
from softstore.divergence import divergence_by_temperature
from softstore.errors import InvalidInputError
from softstore.softening import CERTIFICATE_TEMPERATURES

SAMPLE_FRAMES = 16_384
"""So many frames of the teacher's outputs are enough to fit a codec to."""

_REFINED = (2, 4, 8, 16, 32, 64)
_SEARCHED_FRAMES, _JUDGED_FRAMES = 1024, 6144
"""By the first so many of these frames parameters are compared, by all of them the codec is judged."""

_JUDGED_AT_ONCE = 128
"""Frames of one utterance to judge by: many utterances say more than many frames."""

_MARGIN = 0.85
"""The sample is to stay below what is asked by so much: the whole corpus is not quite the sample."""

_CODEBOOKS = 0.95
"""About what codebooks, which the search goes without, leave of a mean KL that rounding alone may have."""

_CODED = 1.1
"""Bytes on disk by entropy: what Huffman codes, checksums and indexes add."""

_COARSE_STEPS = [2.0 ** (exponent / 2) for exponent in range(8, -21, -1)]
_OVERFLOW_BYTES = 5 * OVERFLOW_WIDTH


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What a store is to keep; the smallest transform codec that does is fitted to a sample.

    Attributes:
        max_mean_kl: of KL(p_T ‖ p̂_T), in nats, the mean over frames at each certificate temperature. It is
            met on the sample; the certificate says what came of it on everything.
        max_kl: the same of every single frame, kept without exception; None: no bound.

    Raises:
        InvalidInputError: a bound that is not a number above 0, or beyond what the codec can keep.
    """

    max_mean_kl: float = 0.01
    max_kl: float | None = None

    def __post_init__(self) -> None:
        for name, bound in (("max_mean_kl", self.max_mean_kl), ("max_kl", self.max_kl)):
            if bound is not None and not (math.isfinite(bound) and bound >= LOWEST_BOUND):
                raise InvalidInputError(
                    f"{name} must be a number of nats of at least {LOWEST_BOUND:g}, not {bound}: "
                    "the float32 codec loses nothing."
                )

    def asked(self) -> dict[str, Any]:
        """For the record; JSON values."""
        return {"max_mean_kl": self.max_mean_kl, "max_kl": self.max_kl}

    def fit(self, sample: Sequence[Tensor]) -> Transform:
        """The smallest codec that keeps this on the sample.

        Args:
            sample: normalised log p of some utterances, each (frames, classes), float32.

        Raises:
            InvalidInputError: the sample is empty, or no transform codec keeps this on it.
        """
        fitted, judged = _parted(sample)
        basis = Basis(fitted)
        return _tightened(basis, judged, self._cheapest(basis, judged), self)

    def _cheapest(self, basis: Basis, judged: list[Tensor]) -> Parameters:
        """The parameters that cost the fewest bytes, among those that keep what is asked on ``judged``."""
        search = _Search(basis, _first(judged, _SEARCHED_FRAMES), self)
        best: _Found | None = None
        for step in _COARSE_STEPS:
            found = search.best(step)
            if best is not None and (found is None or found.cost > 1.5 * best.cost):
                break
            best = _cheaper(best, found)
        if best is None:
            return search.finest()
        coarse = best.parameters.step
        around = [search.best(coarse * 2 ** (exponent / 8)) for exponent in (3, 2, 1, -1, -2, -3)]
        return min([best, *(found for found in around if found)]).parameters


@dataclass(frozen=True, slots=True, order=True)
class _Found:
    """Parameters and about how many bytes a frame they cost."""

    cost: float
    parameters: Parameters = field(compare=False)


def _cheaper(one: _Found | None, other: _Found | None) -> _Found | None:
    return other if one is None or (other is not None and other.cost < one.cost) else one


class _Search:
    """Candidates tried on some frames, without codebooks, which take longer to make than all else."""

    def __init__(self, basis: Basis, judged: list[Tensor], asked: Fidelity) -> None:
        self._basis = basis
        self._asked = asked
        self._exact = torch.cat([_centred(utterance) for utterance in judged])
        self._p = torch.softmax(self._exact, dim=-1)
        self._root = self._p.sqrt()
        self._frequencies = torch.cat([basis.project(utterance) for utterance in judged])
        # Which rows of the blocks, one utterance after another, are frames and no filling.
        lengths = torch.tensor([len(utterance) for utterance in judged])
        blocks = -(-lengths // BLOCK_FRAMES) * BLOCK_FRAMES
        rows = torch.arange(int(blocks.sum())) - torch.repeat_interleave(blocks.cumsum(0) - blocks, blocks)
        self._rows = rows < torch.repeat_interleave(lengths, blocks)

    def finest(self) -> Parameters:
        """For teachers whose outputs nothing here keeps well enough."""
        return Parameters(
            _COARSE_STEPS[-1],
            self._refinements()[-1],
            _refined_step(self._asked.max_mean_kl),
            None,
            self._asked.max_kl,
        )

    def _refinements(self) -> list[int]:
        return [k for k in _REFINED if k <= self._exact.shape[1] // 2] or [1]

    def _coefficient_bytes(self, steps: Tensor) -> float:
        """Bytes a frame of the coefficients, about as entropy coding leaves them."""
        values = quantised(self._basis, steps)
        used = values[:, values.any(axis=0)]
        bits = sum(_entropy(column) for column in used.T)
        return _CODED * bits / 8 / BLOCK_FRAMES

    def best(self, step: float) -> _Found | None:
        """With this step, the cheapest number of classes corrected; None if none keeps what is asked."""
        rank = self._basis.rank(step, None)
        steps = self._basis.steps(step, rank)
        rounded = (self._frequencies[:, :, :rank] / steps).round_().clamp_(-127, 127) * steps
        decoded = from_frequencies(rounded)[self._rows] @ self._basis.vectors[:rank] + self._basis.mean
        coefficients = self._coefficient_bytes(steps)
        found: _Found | None = None
        refined_step = _refined_step(self._asked.max_mean_kl)
        # From many to few: once few do not keep the mean, fewer will not either.
        for refined in reversed(self._refinements()):
            parameters = Parameters(step, refined, refined_step, None, self._asked.max_kl)
            corrected, cost = self._corrected(decoded, parameters)
            kl = torch.stack(divergence_by_temperature(self._exact, corrected, CERTIFICATE_TEMPERATURES))
            if float(kl.mean(dim=1).max()) > _CODEBOOKS * _MARGIN * self._asked.max_mean_kl:
                break
            if self._asked.max_kl is not None:
                cost += float((kl.amax(dim=0) > self._asked.max_kl).float().mean()) * _OVERFLOW_BYTES
            found = _cheaper(found, _Found(coefficients + cost, parameters))
        return found

    def _corrected(self, decoded: Tensor, parameters: Parameters) -> tuple[Tensor, float]:
        """``decoded`` with its heaviest errors corrected, and about how many bytes a frame that takes."""
        classes, refined = self._exact.shape[1], parameters.refined
        errors = self._exact - decoded
        chosen, steps = heaviest(self._p, self._root, errors, refined, parameters.refined_step)
        corrected = decoded.scatter_add(-1, chosen, steps * parameters.refined_step)
        choices = math.lgamma(classes + 1) - math.lgamma(classes - refined + 1) - math.lgamma(refined + 1)
        values = _entropy(steps.flatten().to(torch.int32).numpy()) * refined
        return corrected, _CODED * (choices / math.log(2) + values) / 8


def _parted(sample: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """What to fit to, and what to judge by: other frames, or all of them where there are few."""
    total = sum(len(utterance) for utterance in sample)
    if not total:
        raise InvalidInputError("A transform codec needs a sample of the teacher's outputs; there are none.")
    if total <= 2 * _JUDGED_FRAMES:
        return list(sample), list(sample)
    judged: list[Tensor] = []
    fitted: list[Tensor] = []
    frames = 0
    for utterance in sample:
        if frames < _JUDGED_FRAMES:
            middle = len(utterance) // 2 // BLOCK_FRAMES * BLOCK_FRAMES
            judged.append(utterance[middle : middle + _JUDGED_AT_ONCE])
            frames += len(judged[-1])
            fitted += [utterance[:middle], utterance[middle + _JUDGED_AT_ONCE :]]
        else:
            fitted.append(utterance)
    fitted = [utterance for utterance in fitted if len(utterance)]
    return fitted or judged, judged


def _first(utterances: list[Tensor], frames: int) -> list[Tensor]:
    ends = np.cumsum([len(utterance) for utterance in utterances])
    return utterances[: int(np.searchsorted(ends, frames)) + 1]


def _tightened(basis: Basis, judged: list[Tensor], parameters: Parameters, asked: Fidelity) -> Transform:
    """The codec itself, its step made to fit what is asked: coarser once at most, finer until it does."""
    wanted = _MARGIN * asked.max_mean_kl
    codec = fit(basis, parameters, asked.asked())
    worst = max(_mean_kl(codec, judged))
    factor = min(math.sqrt(wanted / max(worst, 1e-12)), 1.2)
    while True:
        parameters = replace(parameters, step=max(parameters.step * factor, _COARSE_STEPS[-1]))
        codec = fit(basis, parameters, asked.asked())
        worst = max(_mean_kl(codec, judged))
        if worst <= wanted:
            return codec
        if parameters.step == _COARSE_STEPS[-1]:
            break
        factor = min(wanted / worst, 0.96)
    if worst <= asked.max_mean_kl:
        return codec
    raise InvalidInputError(
        f"The transform codec cannot keep a mean KL of {asked.max_mean_kl:g} nats for this teacher, only "
        f"{worst:.1e}: ask for more, or use the uint8, float16 or float32 codec."
    )


def _mean_kl(codec: Transform, utterances: Sequence[Tensor]) -> list[float]:
    totals = torch.zeros(len(CERTIFICATE_TEMPERATURES))
    for utterance in utterances:
        stored = {name: torch.from_numpy(array) for name, array in codec.encode(utterance).items()}
        decoded = codec.decode(codec.unpack(stored), utterance.shape[1])[: len(utterance)]
        kl = divergence_by_temperature(utterance, decoded, CERTIFICATE_TEMPERATURES)
        totals += torch.stack([values.sum() for values in kl])
    return [float(total) for total in totals / sum(len(utterance) for utterance in utterances)]


def _centred(log_posteriors: Tensor) -> Tensor:
    return log_posteriors - log_posteriors.mean(dim=-1, keepdim=True)


def _refined_step(max_mean_kl: float) -> float:
    """A power of two whose rounding, step² / 24 nats at T = 1 where nothing else is, leaves room."""
    return float(2.0 ** round(math.log2(math.sqrt(24 * 0.25 * max_mean_kl))))


def _entropy(values: NDArray[np.int32]) -> float:
    """Bits a value."""
    share = np.bincount(values - values.min()) / len(values)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())
