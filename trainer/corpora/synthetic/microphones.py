"""Microphones: one primary, nearly flat, and eighteen secondary ones, each with its own response."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from trainer.corpora.fbank import SAMPLE_RATE

SECONDARY_MICROPHONES = 18
"""As many as recorded the second channel of WSJ0, and so of Aurora4."""

Response = NDArray[np.float64]
"""A cascade of second-order sections, shape (sections, 6)."""


def primary() -> Response:
    """Flat above 70 Hz but for a slight lift of presence."""
    return np.concatenate([_cut(70, "highpass"), _bell(3500, gain_db=2.0, quality=0.8)])


def secondary(number: int, seed: int) -> Response:
    """Microphone `number` of `SECONDARY_MICROPHONES`: low and high cut and four bells of up to ±9 dB."""
    random = np.random.default_rng([seed, number])
    bells = [
        _bell(centre * random.uniform(0.75, 1.33), random.uniform(-9, 9), random.uniform(0.6, 1.5))
        for centre in (300, 900, 2200, 4500)
    ]
    low, high = random.uniform(80, 350), random.uniform(3800, 7400)
    return np.concatenate([_cut(low, "highpass"), _cut(high, "lowpass"), *bells])


def record(samples: NDArray[np.float32], response: Response) -> NDArray[np.float32]:
    """What the microphone picks up; causal, shape and rate kept."""
    return np.asarray(sosfilt(response, samples), np.float32)


def _cut(frequency: float, kind: Literal["highpass", "lowpass"]) -> Response:
    return np.asarray(butter(2, frequency, kind, fs=SAMPLE_RATE, output="sos"))


def _bell(frequency: float, gain_db: float, quality: float) -> Response:
    """A second-order peaking equaliser."""
    angle = 2 * np.pi * frequency / SAMPLE_RATE
    width, amplitude = np.sin(angle) / (2 * quality), 10 ** (gain_db / 40)
    numerator = np.array([1 + width * amplitude, -2 * np.cos(angle), 1 - width * amplitude])
    denominator = np.array([1 + width / amplitude, -2 * np.cos(angle), 1 - width / amplitude])
    section: Response = np.concatenate([numerator, denominator]) / denominator[0]
    return section[np.newaxis]
