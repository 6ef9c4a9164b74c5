"""The synthesiser's binding, noises, microphones and conditions."""

from __future__ import annotations

import sys

import espeakng_loader
import numpy as np
import pytest
from numpy.typing import NDArray

from softstore.errors import InvalidInputError, MissingDependencyError
from trainer.corpora.synthetic.conditions import CONDITIONS, Condition, record_in
from trainer.corpora.synthetic.espeak import Delivery, pronounce, speak
from trainer.corpora.synthetic.grammar import sentence, words
from trainer.corpora.synthetic.microphones import primary, record, secondary
from trainer.corpora.synthetic.noises import coloured
from trainer.corpora.synthetic.speakers import ACCENTS

SENTENCE = "the market in the east fell , but the old train was late"


def delivery(accent: str = "en-us", variant: str = "m1") -> Delivery:
    return Delivery(accent, variant, rate=170, pitch=50, pitch_range=50)


@pytest.mark.parametrize("variant", ["m1", "f1", "grandma"])
def test_what_is_said_does_not_depend_on_what_was_said_before(variant: str) -> None:
    first = speak(SENTENCE, delivery(variant=variant))
    speak("something else", Delivery("en-gb-scotland", "Annie", 200, 70, 80))
    again = speak(SENTENCE, delivery(variant=variant))
    assert np.array_equal(first.samples, again.samples)
    assert (first.phonemes, first.starts) == (again.phonemes, again.starts)


def test_phoneme_times_lie_in_the_sound() -> None:
    said = speak(SENTENCE, delivery())
    assert len(said.samples) > 22_050
    assert np.abs(said.samples).max() > 3000
    assert list(said.starts) == sorted(said.starts)
    assert said.starts[0] >= 0
    assert said.starts[-1] <= len(said.samples)


@pytest.mark.parametrize("accent", ACCENTS)
def test_words_are_pronounced_one_by_one_as_they_are_spoken(accent: str) -> None:
    random = np.random.default_rng(5)
    said = [sentence(random) for _ in range(5)]
    for text, pronunciations in zip(said, pronounce(said, accent), strict=True):
        assert len(pronunciations) == len(words(text).split())
        spoken = [name for name in speak(text, delivery(accent)).phonemes if not name.startswith("_")]
        assert [name for word in pronunciations for name in word] == spoken


def test_a_voice_that_does_not_exist_is_a_clear_error() -> None:
    with pytest.raises(InvalidInputError, match="en-xx"):
        speak("hello", delivery("en-xx"))


def test_without_espeak_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingDependencyError, match=r"softstore\[demo\]"):
        speak("hello", delivery())


def test_data_that_cannot_be_read_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: "/nowhere")
    with pytest.raises(MissingDependencyError, match="/nowhere"):
        speak("hello", delivery())


def recorded(condition: Condition, split: str) -> tuple[float, float]:
    """The SNR claimed, and the one found by fitting the clean recording to the noisy one."""
    random = np.random.default_rng(2)
    speech = coloured(random, 64_000, ((100, 0), (1000, 0), (8000, -20)))
    babble = np.stack([coloured(random, 32_000, ((100, 0), (8000, -30))) for _ in range(8)])
    everywhere = np.ones(len(speech), np.bool_)
    result = record_in(
        condition, speech, everywhere, babble, split, 0, np.random.default_rng(condition.number)
    )
    response = secondary(int(result.microphone[-2:]), 0) if condition.secondary else primary()
    clean = record(speech, response).astype(np.float64)
    noisy = result.samples.astype(np.float64)
    fitted = clean * (clean @ noisy) / (clean @ clean)
    return result.snr_db, 10 * np.log10(np.sum(fitted**2) / np.sum((noisy - fitted) ** 2))


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: f"{condition.number:02d}")
def test_the_noise_is_as_strong_as_is_claimed(condition: Condition) -> None:
    claimed, measured = recorded(condition, "test")
    if condition.noise == "clean":
        assert np.isnan(claimed)
        assert 44 < measured < 61
    else:
        assert 5 <= claimed <= 15
        assert measured == pytest.approx(claimed, abs=0.3)


def test_training_is_less_noisy() -> None:
    assert 10 <= recorded(CONDITIONS[1], "train")[0] <= 20


def test_secondary_microphones_differ_from_the_primary_and_from_each_other() -> None:
    impulse = np.zeros(8000, np.float32)
    impulse[0] = 1.0

    def decibels(response: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = np.abs(np.fft.rfft(record(impulse, response)))[150:1800]
        return np.asarray(20 * np.log10(spectrum / spectrum.mean()))

    one, two, first = decibels(secondary(0, seed=0)), decibels(secondary(1, seed=0)), decibels(primary())
    for a, b in ((one, two), (one, first), (two, first)):
        assert np.abs(a - b).max() > 3
    assert np.abs(first).max() < 4
