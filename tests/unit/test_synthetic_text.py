"""The grammar, the plan and the phone table of the synthetic corpus."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest

from trainer.corpora.synthetic.conditions import CONDITIONS
from trainer.corpora.synthetic.grammar import sentence, vocabulary, words
from trainer.corpora.synthetic.phones import PHONES, UnknownPhonemeError, phone
from trainer.corpora.synthetic.plan import Recipe, draw_plan
from trainer.corpora.synthetic.profiles import PROFILES
from trainer.corpora.synthetic.vocabulary import WORDS


def sentences(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [sentence(random) for _ in range(count)]


def test_the_vocabulary_is_closed_and_every_listed_word_is_reachable() -> None:
    known = set(vocabulary())
    assert len(known) >= 1000
    assert {word for group in WORDS.values() for word in group.split()} <= known
    assert {word for text in sentences(3000) for word in words(text).split()} <= known


def test_text_is_lower_case_words_between_single_spaces() -> None:
    for text in map(words, sentences(500)):
        assert all(word.isascii() and word.isalpha() and word.islower() for word in text.split(" ")), text


def test_sentences_follow_from_the_seed() -> None:
    assert sentences(50, seed=3) == sentences(50, seed=3)
    assert sentences(50, seed=3) != sentences(50, seed=4)


def test_the_article_suits_the_next_word() -> None:
    pairs = {pair for text in sentences(4000) for pair in zip(text.split(), text.split()[1:], strict=False)}
    assert {("an", "orange"), ("an", "honest"), ("a", "useful"), ("a", "huge")} <= pairs
    assert not {("a", "orange"), ("a", "honest"), ("an", "useful")} & pairs


@pytest.fixture(scope="module")
def aurora4() -> list[Recipe]:
    return draw_plan(PROFILES["aurora4"], seed=0)


def test_aurora4_has_the_size_and_conditions_of_aurora4(aurora4: list[Recipe]) -> None:
    by_split = {split: [r for r in aurora4 if r.split == split] for split in ("train", "cv", "test")}
    assert [len(recipes) for recipes in by_split.values()] == [7137, 4620, 4620]
    for split in ("cv", "test"):
        assert len({(r.number, r.condition) for r in by_split[split]}) == 330 * len(CONDITIONS) == 4620
    train = [r.condition for r in by_split["train"]]
    assert sum(condition.secondary for condition in train) == pytest.approx(7137 / 2, abs=1)
    assert sum(condition.noise == "clean" for condition in train) == pytest.approx(2 * 893, abs=4)
    noisy = [train.count(condition) for condition in CONDITIONS if condition.noise != "clean"]
    assert min(noisy) >= 445
    assert max(noisy) <= 447


@pytest.mark.parametrize("profile", list(PROFILES))
def test_speakers_voices_and_sentences_never_cross_splits(profile: str, aurora4: list[Recipe]) -> None:
    recipes = aurora4 if profile == "aurora4" else draw_plan(PROFILES[profile], seed=1)
    for attribute in ("speaker.name", "speaker.delivery.variant", "sentence"):
        value = attrgetter(attribute)
        sets = [{value(r) for r in recipes if r.split == split} for split in ("train", "cv", "test")]
        assert all(sets)
        assert sum(map(len, sets)) == len(set().union(*sets))
    assert len({r.utterance_id for r in recipes}) == len(recipes)
    voices = {(r.speaker.delivery.accent, r.speaker.delivery.variant) for r in recipes}
    assert len(voices) == len({r.speaker.name for r in recipes}) >= (10 if profile == "tiny" else 60)


def test_a_mnemonic_that_is_not_in_the_table_is_an_error() -> None:
    assert 40 <= len(PHONES) <= 50
    assert phone("aa", "en-us") == "AE"
    assert phone("aa", "en") == "AA"
    with pytest.raises(UnknownPhonemeError, match="Q"):
        phone("Q", "en")
