"""The synthetic corpus as a whole, in its tiny profile."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from softstore.errors import InvalidInputError, SoftstoreError
from trainer.corpora.source import AlignedUtterance
from trainer.corpora.synthetic import SyntheticSource
from trainer.corpora.synthetic.phones import PHONES
from trainer.corpora.synthetic.plan import draw_plan
from trainer.corpora.synthetic.profiles import PROFILES
from trainer.corpora.synthetic.studio import make

VOWELS = {"AA", "AE", "AH", "AO", "AY", "EH", "ER", "EY", "IY", "OW"}


def made(source: SyntheticSource, workers: int = 1) -> list[AlignedUtterance]:
    utterances = list(source.utterances(workers))
    assert all(isinstance(utterance, AlignedUtterance) for utterance in utterances)
    return [utterance for utterance in utterances if isinstance(utterance, AlignedUtterance)]


def assert_same(one: AlignedUtterance, other: AlignedUtterance) -> None:
    assert (one.utterance_id, one.speaker, one.split, one.text) == (
        other.utterance_id,
        other.speaker,
        other.split,
        other.text,
    )
    assert one.alignment.phones == other.alignment.phones
    assert np.array_equal(one.alignment.frame_states, other.alignment.frame_states)
    assert one.features.tobytes() == other.features.tobytes()
    assert str(one.extra) == str(other.extra)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource("tiny", seed=7)


@pytest.fixture(scope="module")
def corpus(source: SyntheticSource) -> list[AlignedUtterance]:
    return made(source)


def test_every_utterance_keeps_the_contract(source: SyntheticSource, corpus: list[AlignedUtterance]) -> None:
    assert len(corpus) == source.total == 12
    assert len({utterance.utterance_id for utterance in corpus}) == 12
    for utterance in corpus:
        states, phones = utterance.alignment.frame_states, utterance.alignment.phones
        assert utterance.features.shape == (len(states), 40)
        assert utterance.features.dtype == np.float32
        assert np.isfinite(utterance.features).all()
        assert np.all(np.diff(states) >= 0)
        assert np.array_equal(np.unique(states // 3), np.arange(len(phones)))
        assert set(phones) <= set(PHONES)
        assert phones[0] == phones[-1] == "SIL"
        at_ends = states // 3 == 0, states // 3 == len(phones) - 1
        assert all(8 <= frames.sum() <= 40 for frames in at_ends)
        assert set(utterance.extra) == {"condition", "noise", "microphone", "snr_db"}


def test_the_seed_decides_everything(corpus: list[AlignedUtterance]) -> None:
    other = made(SyntheticSource("tiny", seed=8))
    assert {utterance.text for utterance in other}.isdisjoint(utterance.text for utterance in corpus)


def test_an_utterance_does_not_depend_on_the_order(corpus: list[AlignedUtterance]) -> None:
    recipes = draw_plan(PROFILES["tiny"], seed=7)
    for position in (10, 3, 7):
        alone = make(recipes[position], 7)
        assert isinstance(alone, AlignedUtterance)
        assert_same(alone, corpus[position])


def test_two_processes_make_the_same_bits_and_end_when_the_consumer_stops(
    source: SyntheticSource, corpus: list[AlignedUtterance]
) -> None:
    utterances = source.utterances(workers=2)
    for expected in corpus[:-1]:
        found = next(utterances)
        assert isinstance(found, AlignedUtterance)
        assert_same(found, expected)
    assert multiprocessing.active_children()
    utterances.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_an_error_and_not_a_wait() -> None:
    utterances = iter(SyntheticSource("mini").utterances(workers=2))
    next(utterances)
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(SoftstoreError, match="killed"):
        list(utterances)


def test_silence_is_quiet_and_vowels_are_loud_where_the_alignment_says_so(
    corpus: list[AlignedUtterance],
) -> None:
    recipes = [recipe for recipe in draw_plan(PROFILES["mini"], seed=0) if recipe.condition.noise == "clean"]
    for recipe in recipes[:6]:
        utterance = make(recipe, 0)
        assert isinstance(utterance, AlignedUtterance)
        phones = np.array(utterance.alignment.phones)[utterance.alignment.frame_states // 3]
        loudness = utterance.features.mean(axis=1)
        vowels = np.isin(phones, list(VOWELS))
        assert loudness[phones == "SIL"].mean() < loudness[vowels].mean() - 4
        # One frame is about as long as a boundary is uncertain; beyond that nothing in a pause is loud.
        inner = (phones == "SIL") & (np.roll(phones, 2) == "SIL") & (np.roll(phones, -2) == "SIL")
        assert loudness[inner].max() < loudness[vowels].mean() - 2


def test_the_lexicon_covers_what_is_said(source: SyntheticSource, corpus: list[AlignedUtterance]) -> None:
    lexicon = source.lexicon
    assert len(lexicon) >= 1000
    assert all(1 <= len(set(found)) == len(found) <= 8 for found in lexicon.values())
    assert {phone for found in lexicon.values() for one in found for phone in one} <= set(PHONES) - {"SIL"}
    assert lexicon["market"][0] == ("M", "AAR", "K", "IH", "T")
    assert lexicon == SyntheticSource("tiny", seed=7).lexicon
    for utterance in corpus:
        assert all(word in lexicon for word in utterance.text.split(" "))


def test_the_description_says_what_it_is(source: SyntheticSource) -> None:
    description = source.description
    assert description["name"] == "synthetic-tiny"
    assert description["seed"] == 7
    assert "GPL" in str(description["licence"])


def test_a_profile_that_does_not_exist_is_a_clear_error() -> None:
    with pytest.raises(InvalidInputError, match=", ".join(PROFILES)):
        SyntheticSource("huge")
    with pytest.raises(InvalidInputError, match="-1"):
        SyntheticSource("tiny", seed=-1)
