"""How sure one can be of word error rates and of what lies between two systems.

The bootstrap of Bisani & Ney 2004: utterances are drawn anew, the same for all systems, and so are each
system's seeds; percentiles of what comes out are the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

REPLICATIONS = 10_000
SEED = 0
INTERVAL = (2.5, 97.5)
"""Per cent."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval, per cent; None where there is nothing to tell it from."""

    value: float
    low: float | None
    high: float | None

    @property
    def is_positive(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low is not None and self.low > 0


class Resampled:
    """Word error rates of some systems in `REPLICATIONS` drawings.

    Args:
        errors: by system, of each seed and utterance, (seeds, utterances).
        words: that were said in each utterance, (utterances,).
    """

    def __init__(self, errors: Mapping[str, Sequence[NDArray[np.int64]]], words: NDArray[np.int64]) -> None:
        generator = np.random.default_rng(SEED)
        utterances = len(words)
        drawn = generator.multinomial(utterances, np.full(utterances, 1 / utterances), REPLICATIONS)
        said = np.maximum(drawn @ words, 1)
        self._rates: dict[str, NDArray[np.float64]] = {}
        self._values: dict[str, float] = {}
        for system, seeds in errors.items():
            by_seed = np.stack(seeds)
            rates = (drawn @ by_seed.T) / said[:, None]
            chosen = generator.integers(len(by_seed), size=(REPLICATIONS, len(by_seed)))
            self._rates[system] = 100 * np.take_along_axis(rates, chosen, axis=1).mean(axis=1)
            self._values[system] = float(100 * by_seed.sum(axis=1).mean() / max(words.sum(), 1))

    def word_error_rate(self, system: str) -> Estimate:
        """Per cent of the words, the mean of all seeds."""
        return _estimate(self._values[system], self._rates[system])

    def reduction(self, system: str, reference: str) -> Estimate:
        """How many per cent of the reference's errors a system does not make; below 0 if it makes more."""
        value = 100 * (1 - self._values[system] / max(self._values[reference], 1e-9))
        drawn = 100 * (1 - self._rates[system] / np.maximum(self._rates[reference], 1e-9))
        return _estimate(value, drawn)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Of the means of two systems' seeds, with the t interval of Welch 1947.

    A system of one seed, such as the one teacher, is taken as it is; of two of those, only the difference is
    known.
    """
    value = float(np.mean(ours) - np.mean(theirs))
    if len(ours) == len(theirs) == 1:
        return Estimate(value, None, None)
    if np.ptp(ours) == np.ptp(theirs) == 0:
        return Estimate(value, value, value)
    if len(theirs) == 1:
        interval = stats.ttest_1samp(ours, theirs[0]).confidence_interval()
        return Estimate(value, float(interval.low - theirs[0]), float(interval.high - theirs[0]))
    if len(ours) == 1:
        mirrored = difference(theirs, ours)
        assert mirrored.low is not None
        assert mirrored.high is not None
        return Estimate(value, -mirrored.high, -mirrored.low)
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    return Estimate(value, float(interval.low), float(interval.high))


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(drawn, INTERVAL)
    return Estimate(value, float(low), float(high))
