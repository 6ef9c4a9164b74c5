"""A recipe → an utterance: speak, record, extract features, align."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from trainer.alignment import SILENCE
from trainer.corpora import fbank
from trainer.corpora.source import AlignedUtterance, Rejected
from trainer.corpora.synthetic import espeak
from trainer.corpora.synthetic.conditions import record_in
from trainer.corpora.synthetic.grammar import sentence, words
from trainer.corpora.synthetic.phones import UnknownPhonemeError
from trainer.corpora.synthetic.plan import Recipe
from trainer.corpora.synthetic.profiles import SPLITS
from trainer.corpora.synthetic.speakers import draw_speakers
from trainer.corpora.synthetic.timing import Segments, align, segments

_SILENCE_AT_ENDS_S = (0.1, 0.2)
_BABBLE_VOICES = 8
_BABBLE_S = 12

# What an utterance's random numbers are for: part of their seed, beside the corpus seed, split and sentence.
_SPEAKING, _RECORDING, _BABBLE = range(3)


def make(recipe: Recipe, seed: int) -> AlignedUtterance | Rejected:
    """One utterance; it depends on the recipe and the corpus seed alone, not on what was made before."""
    origin = [seed, SPLITS.index(recipe.split), recipe.number]
    try:
        speech, phones = _say(recipe, np.random.default_rng([*origin, _SPEAKING]))
    except UnknownPhonemeError as error:
        return Rejected(recipe.utterance_id, str(error))
    recording = record_in(
        recipe.condition,
        speech,
        _spoken(phones, len(speech)),
        _babble(seed, recipe.split),
        recipe.split,
        seed,
        np.random.default_rng([*origin, _RECORDING, recipe.condition.number]),
    )
    features = fbank.fbank(recording.samples)
    return AlignedUtterance(
        utterance_id=recipe.utterance_id,
        speaker=recipe.speaker.name,
        split=recipe.split,
        text=words(recipe.sentence),
        features=features,
        alignment=align(phones, len(features)),
        extra={
            "condition": recipe.condition.number,
            "noise": recipe.condition.noise,
            "microphone": recording.microphone,
            "snr_db": recording.snr_db,
        },
    )


def _say(recipe: Recipe, random: np.random.Generator) -> tuple[NDArray[np.float32], Segments]:
    """Clean speech at 16 kHz with silence at both ends, and its phones."""
    delivery = recipe.speaker.deliver(random)
    speech = espeak.speak(recipe.sentence, delivery)
    before, after = (int(random.uniform(*_SILENCE_AT_ENDS_S) * fbank.SAMPLE_RATE) for _ in range(2))
    phones = segments(speech, delivery.accent)
    starts = before + phones.starts * fbank.SAMPLE_RATE // espeak.SAMPLE_RATE
    starts[0] = 0
    return np.pad(_resampled(speech), (before, after)), Segments(phones.phones, starts)


def _resampled(speech: espeak.Speech) -> NDArray[np.float32]:
    samples = speech.samples.astype(np.float32)
    return np.asarray(resample_poly(samples, fbank.SAMPLE_RATE, espeak.SAMPLE_RATE), np.float32)


def _spoken(phones: Segments, length: int) -> NDArray[np.bool_]:
    lengths = np.diff(phones.starts, append=length)
    return np.repeat([phone != SILENCE for phone in phones.phones], lengths)


@lru_cache(maxsize=len(SPLITS))
def _babble(seed: int, split: str) -> NDArray[np.float32]:
    """Voices that talk in the background of a split, shape (voices, samples), each of unit power."""
    random = np.random.default_rng([seed, SPLITS.index(split), 0, _BABBLE])
    voices = np.zeros((_BABBLE_VOICES, _BABBLE_S * fbank.SAMPLE_RATE), np.float32)
    for voice, speaker in zip(voices, draw_speakers({split: _BABBLE_VOICES}, random)[split], strict=True):
        filled = 0
        while filled < len(voice):
            said = _resampled(espeak.speak(sentence(random), speaker.deliver(random)))[: len(voice) - filled]
            voice[filled : filled + len(said)] = said
            filled += len(said)
    voices /= np.sqrt(np.mean(voices**2, axis=1, keepdims=True))
    return voices
