"""Sums over frames, for each of several groups, and the means that they come to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.softening import CERTIFICATE_TEMPERATURES

KL_TEMPERATURES = CERTIFICATE_TEMPERATURES

BINS = 15
"""Of equal width, by confidence; as many as Guo et al. 2017 have."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Frames of similar confidence, which is the posterior of the class that a model takes for the right one.

    Attributes:
        above, upto: per cent; the lower end is outside.
        confidence, frame_accuracy: means, per cent; None without frames.
    """

    above: float
    upto: float
    frames: int
    confidence: float | None
    frame_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over frames.

    Attributes:
        frame_accuracy: per cent.
        cross_entropy: with the hard labels, nats.
        calibration_error: the expected one, ECE (Naeini et al. 2015; Guo et al. 2017): how far confidence and
            accuracy are apart in each of `BINS` bins, their mean weighted by frames; per cent.
        kl: by temperature T: KL(p_T ‖ y_T), teacher and model both softened by T, nats; empty without
            targets.
    """

    utterances: int
    frames: int
    frame_accuracy: float
    cross_entropy: float
    calibration_error: float
    kl: dict[str, float]


class Tally:
    """What is summed over the frames of each of several groups, by bin of confidence.

    Args:
        groups: how many; they are numbered from 0.
        temperatures: at which there are divergences.
    """

    def __init__(self, groups: int, temperatures: tuple[float, ...] = ()) -> None:
        self._temperatures = temperatures
        # Frames, confidence, correct ones, cross entropy, divergence at each temperature.
        self._sums = torch.zeros(groups, BINS, 4 + len(temperatures), dtype=torch.float64)

    def add(self, log_y: Tensor, labels: Tensor, divergence: list[Tensor], groups: list[Tensor]) -> None:
        """Some frames.

        Args:
            log_y: what the model says, normalised, (frames, classes).
            labels: (frames,), int64.
            divergence: in nats, for each temperature, each (frames,).
            groups: numbers of groups that each frame belongs to, each (frames,), int64, on the CPU.
        """
        highest, likeliest = log_y.max(dim=-1)
        confidence = highest.double().exp()
        columns = [
            torch.ones_like(confidence),
            confidence,
            likeliest == labels,
            -log_y.gather(1, labels[:, None])[:, 0],
            *divergence,
        ]
        frames = torch.stack([column.double() for column in columns], dim=1).cpu()
        bins = (frames[:, 1] * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
        flat = self._sums.view(-1, self._sums.shape[-1])
        for group in groups:
            flat.index_add_(0, group * BINS + bins, frames)

    def scores(self, group: int, utterances: int) -> Scores:
        """Of a group that has frames."""
        by_bin = self._sums[group]
        frames, _, correct, cross_entropy, *kl = by_bin.sum(dim=0).tolist()
        gaps = (by_bin[:, 1] - by_bin[:, 2]).abs().sum()
        by_temperature = zip(self._temperatures, kl, strict=True)
        return Scores(
            utterances,
            round(frames),
            100 * correct / frames,
            cross_entropy / frames,
            100 * float(gaps) / frames,
            {f"{temperature:g}": total / frames for temperature, total in by_temperature},
        )

    def reliability(self, group: int) -> list[Bin]:
        """A group's bins, by rising confidence."""
        rows = self._sums[group, :, :3].tolist()
        return [
            Bin(
                100 * number / BINS,
                100 * (number + 1) / BINS,
                round(frames),
                100 * confidence / frames if frames else None,
                100 * correct / frames if frames else None,
            )
            for number, (frames, confidence, correct) in enumerate(rows)
        ]
