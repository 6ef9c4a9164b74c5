"""The six noises of Aurora4, synthesised: car, babble, restaurant, street, airport and train.

Every noise is shape (samples,), float32, at 16 kHz, at no particular level, and never the same twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfftfreq

from trainer.corpora.fbank import SAMPLE_RATE

Samples = NDArray[np.float32]
Spectrum = tuple[tuple[float, float], ...]
"""Corner points (Hz, dB), joined by straight lines over log frequency."""

_PINK: Spectrum = ((40, -10), (80, 0), (8000, -20))


def coloured(random: np.random.Generator, length: int, spectrum: Spectrum) -> Samples:
    """Gaussian noise of unit power with the given power spectrum."""
    size = next_fast_len(length, real=True)
    frequencies = rfftfreq(size, 1 / SAMPLE_RATE)
    corners, decibels = zip(*spectrum, strict=True)
    gain = 10 ** (np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(corners), decibels) / 20)
    gain[0] = 0.0
    parts = random.standard_normal((2, len(frequencies)), np.float32)
    noise = irfft((gain * (parts[0] + 1j * parts[1])).astype(np.complex64), size)
    return _unit_power(np.asarray(noise, np.float32)[:length])


def car(random: np.random.Generator, length: int, babble: Samples) -> Samples:
    """Steady: engine orders over road rumble and a little wind."""
    total = coloured(random, length, ((30, -6), (60, 0), (200, -12), (1000, -28), (8000, -50)))
    total += 0.12 * coloured(random, length, ((300, -20), (1500, 0), (4000, -8), (8000, -20)))
    total += 0.5 * _tone(random, length, random.uniform(25, 45), harmonics=8, wander=0.03)
    return total


def crowd(random: np.random.Generator, length: int, babble: Samples) -> Samples:
    """Babble: sixteen voices at once, near and far."""
    loudness = 10 ** (random.uniform(-12, 0, 16) / 20)
    total = np.zeros(length, np.float32)
    for number, gain in enumerate(loudness):
        total += np.float32(gain) * _excerpt(random, babble[number % len(babble)], length)
    return _unit_power(total)


def restaurant(random: np.random.Generator, length: int, babble: Samples) -> Samples:
    """Babble over a murmur, with clatter of dishes."""
    murmur = coloured(random, length, ((80, -12), (250, 0), (600, 0), (2000, -14), (8000, -35)))
    clatter = np.zeros(length, np.float32)
    for start in _moments(random, length, per_second=1.5):
        tone = _strike(random, random.uniform(1500, 6000), decay=random.uniform(0.01, 0.08))
        _add_at(clatter, start, random.uniform(0.5, 4.0) * tone)
    return crowd(random, length, babble) + 0.5 * murmur + clatter


def street(random: np.random.Generator, length: int, babble: Samples) -> Samples:
    """Traffic: vehicles that come and go, and now and then a horn."""
    seconds = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    total = 0.4 * coloured(random, length, _PINK)
    for start in _moments(random, length, per_second=0.4):
        timbre = random.uniform(300, 1200)
        vehicle = coloured(random, length, ((50, -6), (120, 0), (timbre, -4), (4 * timbre, -25), (8000, -45)))
        distance = (seconds - start / SAMPLE_RATE) / random.uniform(0.6, 2.0)
        total += random.uniform(0.5, 2.0) * vehicle / (1 + distance**2)
    if random.random() < 0.4:
        horn = _tone(
            random, int(random.uniform(0.2, 0.8) * SAMPLE_RATE), random.uniform(330, 480), harmonics=9
        )
        _add_at(total, int(random.integers(length)), random.uniform(0.5, 1.5) * horn)
    return total


def airport(random: np.random.Generator, length: int, babble: Samples) -> Samples:
    """A large hall: distant voices, ventilation, footsteps, and sometimes a chime."""
    hall = coloured(random, length, ((50, -3), (150, 0), (500, -6), (2500, -16), (8000, -40)))
    total = hall + 0.7 * crowd(random, length, babble)
    pace = int(random.uniform(0.45, 0.65) * SAMPLE_RATE)
    for start in range(int(random.integers(pace)), length, pace):
        _add_at(total, start, random.uniform(1, 3) * _strike(random, random.uniform(200, 900), decay=0.02))
    if random.random() < 0.4:
        start = int(random.integers(length))
        for number, pitch in enumerate((660.0, 523.0)):
            _add_at(total, start + number * SAMPLE_RATE // 2, 1.5 * _strike(random, pitch, decay=0.4))
    return total


def train(random: np.random.Generator, length: int, babble: Samples) -> Samples:
    """Rolling noise that swells and fades, and the double clack of wheels over rail joints."""
    rolling = coloured(random, length, ((30, 0), (120, 0), (600, -6), (2000, -14), (8000, -38)))
    seconds = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    swell = 1 + 0.4 * np.sin(2 * np.pi * (random.uniform(0.1, 0.4) * seconds + random.random()))
    total = rolling * swell.astype(np.float32)
    period = int(random.uniform(0.55, 0.95) * SAMPLE_RATE)
    for start in range(int(random.integers(period)), length, period):
        for delay in (0, int(0.13 * SAMPLE_RATE)):
            _add_at(total, start + delay, 5.0 * _strike(random, random.uniform(250, 700), decay=0.03))
    return total


NOISES: dict[str, Callable[[np.random.Generator, int, Samples], Samples]] = {
    "car": car,
    "babble": crowd,
    "restaurant": restaurant,
    "street": street,
    "airport": airport,
    "train": train,
}
"""Name → maker: (random, samples wanted, voices of shape (voices, samples)) → noise."""


def _unit_power(samples: Samples) -> Samples:
    return np.asarray(samples / np.sqrt(np.mean(samples**2) + 1e-12), np.float32)


def _moments(random: np.random.Generator, length: int, per_second: float) -> list[int]:
    count = random.poisson(per_second * length / SAMPLE_RATE)
    return sorted(int(moment) for moment in random.integers(length, size=count))


def _excerpt(random: np.random.Generator, samples: Samples, length: int) -> Samples:
    start = int(random.integers(len(samples)))
    return np.take(samples, np.arange(start, start + length), mode="wrap")


def _add_at(total: Samples, start: int, sound: Samples) -> None:
    heard = sound[: max(0, len(total) - start)]
    total[start : start + len(heard)] += heard


def _strike(random: np.random.Generator, frequency: float, decay: float) -> Samples:
    """Something struck: a decaying tone and its inharmonic overtone, with noise at the onset."""
    seconds = np.arange(int(6 * decay * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    ring = np.sin(2 * np.pi * frequency * seconds) + 0.5 * np.sin(2 * np.pi * 2.76 * frequency * seconds)
    onset = random.standard_normal(len(seconds), np.float32) * np.exp(-seconds / 0.003)
    return (ring * np.exp(-seconds / decay) + onset).astype(np.float32)


def _tone(
    random: np.random.Generator, length: int, frequency: float, harmonics: int, wander: float = 0.0
) -> Samples:
    """A harmonic tone of unit power whose pitch wanders slowly by the given fraction."""
    seconds = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    rate = random.uniform(0.1, 0.3)
    depth = wander / (2 * np.pi * rate) if wander else 0.0
    cycles = frequency * (seconds + depth * np.sin(2 * np.pi * rate * seconds))
    total = np.zeros(length, np.float32)
    for order in range(1, harmonics + 1):
        phase, level = random.uniform(0, 2 * np.pi), random.uniform(0.3, 1.0) / order
        total += (level * np.sin(2 * np.pi * order * cycles + phase)).astype(np.float32)
    return _unit_power(total)
