"""Aurora4's fourteen conditions: clean and six noises, through two microphones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trainer.corpora.synthetic.microphones import SECONDARY_MICROPHONES, primary, record, secondary
from trainer.corpora.synthetic.noises import NOISES, coloured

SNR_DB = {"train": (10.0, 20.0), "cv": (5.0, 15.0), "test": (5.0, 15.0)}
CLEAN_SHARE = 0.25
"""Share of clean speech in Aurora4's multi-condition training set, with either microphone."""

_FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the fourteen: `number` counts from 1; 1 to 7 are the primary microphone, 1 and 8 are clean."""

    number: int
    noise: str
    secondary: bool


CONDITIONS = tuple(
    Condition(1 + 7 * microphone + position, noise, bool(microphone))
    for microphone in (0, 1)
    for position, noise in enumerate(("clean", *NOISES))
)


@dataclass(frozen=True, slots=True)
class Recording:
    """`samples` at 16 kHz, full scale ±32768; `snr_db` is NaN for clean speech."""

    samples: NDArray[np.float32]
    microphone: str
    snr_db: float


def training_conditions(utterances: int, random: np.random.Generator) -> list[Condition]:
    """A condition for each training utterance, in Aurora4's shares: half of them with either microphone."""
    shares = [
        (CLEAN_SHARE if condition.noise == "clean" else (1 - CLEAN_SHARE) / 6) / 2 for condition in CONDITIONS
    ]
    ends = np.cumsum(shares) * utterances
    drawn = [CONDITIONS[int(np.searchsorted(ends, place + 0.5))] for place in range(utterances)]
    return [drawn[place] for place in random.permutation(utterances)]


def record_in(
    condition: Condition,
    speech: NDArray[np.float32],
    spoken: NDArray[np.bool_],
    babble: NDArray[np.float32],
    split: str,
    seed: int,
    random: np.random.Generator,
) -> Recording:
    """Speech as recorded in a condition.

    The microphone colours the speech and the noise is added after it, as Aurora4 was made. Even clean speech
    has a faint hiss, 45 to 60 dB below it, and the level of speech varies by about 3 dB around -26 dB of
    full scale.

    Args:
        speech: shape (samples,), float32, at 16 kHz, any level.
        spoken: shape (samples,): where the speaker is not silent; levels and ratios refer to this part.
        babble: voices in the background, shape (voices, samples), float32.
        seed: what the secondary microphones of the corpus are drawn from.
    """
    if condition.secondary:
        number = int(random.integers(SECONDARY_MICROPHONES))
        microphone, response = f"secondary-{number:02d}", _secondary(number, seed)
    else:
        microphone, response = "primary", primary()
    heard = _unit_power(record(speech, response), spoken)
    hiss = coloured(random, len(heard), ((50, 0), (8000, -6)))
    heard += np.float32(10 ** (random.uniform(-60, -45) / 20)) * hiss
    snr_db = float("nan")
    if condition.noise != "clean":
        snr_db = float(random.uniform(*SNR_DB[split]))
        noise = NOISES[condition.noise](random, len(heard), babble)
        heard += np.float32(10 ** (-snr_db / 20)) * _unit_power(noise, spoken)
    level = _FULL_SCALE * 10 ** ((-26 + 3 * random.standard_normal()) / 20)
    level = min(level, (_FULL_SCALE - 1) / float(np.abs(heard).max()))
    return Recording(np.float32(level) * heard, microphone, snr_db)


_secondary = lru_cache(maxsize=SECONDARY_MICROPHONES)(secondary)


def _unit_power(samples: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.asarray(samples / np.sqrt(np.mean(samples[where] ** 2) + 1e-12), np.float32)
