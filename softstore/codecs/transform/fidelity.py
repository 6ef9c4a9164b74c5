"""Parameters from what is asked of the store: how far decoded posteriors may be from the teacher's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.transform.blocks import from_frequencies
from softstore.codecs.transform.codec import OVERFLOW_WIDTH, Transform
from softstore.codecs.transform.fitting import BLOCK_FRAMES, Basis, Parameters, fit, quantised
from softstore.errors import InvalidInputError
from softstore.softening import CERTIFICATE_TEMPERATURES, divergence_by_temperature

SAMPLE_FRAMES = 16_384
"""So many frames of the teacher's outputs are enough to fit a codec to."""

LOWEST_BOUND = 1e-5
"""Nats. Below, float32's rounding shows: the float32 codec is for that."""

_REFINED = (2, 4, 8, 16, 32, 64)
_JUDGED_FRAMES = 2048
_JUDGED_AT_ONCE = 128
"""Frames of one utterance to judge by: many utterances say more than many frames."""

_MARGIN = 0.9
"""The sample is to stay below what is asked by so much: the whole corpus is not quite the sample."""

_CODEBOOKS = 0.95
"""About what codebooks, which the search goes without, leave of a mean KL that rounding alone may have."""

_SAMPLED_STEPS = [2.0 ** (exponent / 4) for exponent in range(16, -41, -1)]
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
            InvalidInputError: the sample is empty.
        """
        fitted, judged = _parted(sample)
        basis = Basis(fitted)
        return _tightened(basis, judged, self._cheapest(basis, judged), self)

    def _cheapest(self, basis: Basis, judged: list[Tensor]) -> Parameters:
        """The parameters that cost the fewest bytes, among those that keep what is asked on ``judged``."""
        exact = torch.cat([_centred(utterance) for utterance in judged])
        weights = _weights(exact)
        frequencies = torch.cat([basis.project(utterance) for utterance in judged])
        rows = torch.cat([_rows(len(utterance), start) for utterance, start in _starts(judged)])
        best: tuple[float, Parameters] | None = None
        for step in _SAMPLED_STEPS:
            rank = basis.rank(step, None)
            steps = basis.steps(step, rank)
            coefficients = _entropy_bytes(quantised(basis, steps))
            if best is not None and coefficients > best[0]:
                break
            rounded = (frequencies[:, :, :rank] / steps).round_().clamp_(-127, 127) * steps
            decoded = from_frequencies(rounded)[rows] @ basis.vectors[:rank] + basis.mean
            for refined in reversed(self._refinements(exact.shape[1])):
                parameters = Parameters(step, refined, self._refined_step(), None, self.max_kl)
                corrected, cost = _corrected(exact, decoded, weights, parameters)
                kl = torch.stack(divergence_by_temperature(exact, corrected, CERTIFICATE_TEMPERATURES))
                if float(kl.mean(dim=1).max()) > _CODEBOOKS * _MARGIN * self.max_mean_kl:
                    break
                cost += coefficients
                if self.max_kl is not None:
                    cost += float((kl.amax(dim=0) > self.max_kl).float().mean()) * _OVERFLOW_BYTES
                if best is None or cost < best[0]:
                    best = cost, parameters
        return best[1] if best is not None else Parameters(_SAMPLED_STEPS[-1], refined=8, max_kl=self.max_kl)

    def _refinements(self, class_count: int) -> list[int]:
        return [refined for refined in _REFINED if refined <= class_count // 2] or [1]

    def _refined_step(self) -> float:
        """A power of two whose rounding, step² / 24 nats at T = 1 where nothing else is, leaves room."""
        return float(2.0 ** round(math.log2(math.sqrt(24 * 0.25 * self.max_mean_kl))))


def _parted(sample: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """What to fit to, and what to judge by: other frames, where there are several utterances."""
    if not sum(len(utterance) for utterance in sample):
        raise InvalidInputError("A transform codec needs a sample of the teacher's outputs; there are none.")
    judged: list[Tensor] = []
    fitted: list[Tensor] = []
    frames = 0
    for number, utterance in enumerate(sample):
        if number % 2 and frames < _JUDGED_FRAMES:
            middle = len(utterance) // 2 // BLOCK_FRAMES * BLOCK_FRAMES
            judged.append(utterance[middle : middle + _JUDGED_AT_ONCE])
            frames += len(judged[-1])
            fitted += [utterance[:middle], utterance[middle + _JUDGED_AT_ONCE :]]
        else:
            fitted.append(utterance)
    fitted = [utterance for utterance in fitted if len(utterance)]
    return fitted, judged or [utterance[:_JUDGED_FRAMES] for utterance in fitted[:4]]


def _tightened(basis: Basis, judged: list[Tensor], parameters: Parameters, asked: Fidelity) -> Transform:
    """The codec itself, its step made to fit what is asked: coarser once at most, finer until it does."""
    wanted = _MARGIN * asked.max_mean_kl
    codec = fit(basis, parameters, asked.asked())
    worst = max(_mean_kl(codec, judged))
    parameters = replace(parameters, step=parameters.step * min(math.sqrt(wanted / max(worst, 1e-12)), 1.2))
    while True:
        codec = fit(basis, parameters, asked.asked())
        worst = max(_mean_kl(codec, judged))
        if worst <= wanted or parameters.step <= _SAMPLED_STEPS[-1]:
            return codec
        parameters = replace(parameters, step=parameters.step * min(math.sqrt(wanted / worst), 0.97))


def _mean_kl(codec: Transform, utterances: Sequence[Tensor]) -> list[float]:
    totals = torch.zeros(len(CERTIFICATE_TEMPERATURES))
    for utterance in utterances:
        stored = {name: torch.from_numpy(array) for name, array in codec.encode(utterance).items()}
        decoded = codec.decode(codec.unpack(stored), utterance.shape[1])[: len(utterance)]
        kl = divergence_by_temperature(utterance, decoded, CERTIFICATE_TEMPERATURES)
        totals += torch.stack([values.sum() for values in kl])
    return [float(total) for total in totals / sum(len(utterance) for utterance in utterances)]


def _corrected(
    exact: Tensor, decoded: Tensor, weights: Tensor, parameters: Parameters
) -> tuple[Tensor, float]:
    """``decoded`` with its heaviest errors corrected, and about how many bytes a frame that takes."""
    errors = exact - decoded
    classes = (weights * errors.square()).topk(parameters.refined, dim=-1, sorted=False).indices
    steps = (errors.gather(-1, classes) / parameters.refined_step).round_().clamp_(-127, 127)
    corrected = decoded.scatter_add(-1, classes, steps * parameters.refined_step)
    choices = math.lgamma(exact.shape[1] + 1) - math.lgamma(exact.shape[1] - parameters.refined + 1)
    choices -= math.lgamma(parameters.refined + 1)
    values = _column_entropy(steps.flatten().to(torch.int32).numpy()) * parameters.refined
    return corrected, choices / math.log(2) / 8 + values / 8


def _weights(centred: Tensor) -> Tensor:
    root = (torch.log_softmax(centred, dim=-1) / 2).exp_()
    return root.square() + root / (4 * root.sum(dim=-1, keepdim=True))


def _centred(log_posteriors: Tensor) -> Tensor:
    return log_posteriors - log_posteriors.mean(dim=-1, keepdim=True)


def _starts(utterances: Sequence[Tensor]) -> Iterator[tuple[Tensor, int]]:
    start = 0
    for utterance in utterances:
        yield utterance, start
        start += -(-len(utterance) // BLOCK_FRAMES) * BLOCK_FRAMES


def _rows(frames: int, start: int) -> Tensor:
    return torch.arange(start, start + frames)


def _entropy_bytes(values: NDArray[np.int32]) -> float:
    """Bytes a frame of the coefficients of blocks, (blocks, columns), by their columns' entropies."""
    used = values[:, values.any(axis=0)]
    return sum(_column_entropy(column) for column in used.T) / 8 / BLOCK_FRAMES


def _column_entropy(values: NDArray[np.int32]) -> float:
    share = np.bincount(values - values.min()) / len(values)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())
