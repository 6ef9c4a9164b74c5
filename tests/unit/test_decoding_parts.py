"""The parts of a decoding graph, against what can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from softstore.errors import InvalidInputError
from trainer.alignment import SILENCE, STATES
from trainer.decoding.grammar import grammar_fst
from trainer.decoding.graph import compose
from trainer.decoding.lexicon import Lexicon
from trainer.decoding.ngram import witten_bell
from trainer.decoding.search import Decoder, Setting
from trainer.decoding.topology import move_costs
from trainer.decoding.tuning import LM_WEIGHTS, tune
from trainer.decoding.word_errors import word_errors
from trainer.senones import SenoneTree
from trainer.senones.tree import Node, Question

kaldifst: Any = import_module("kaldifst")

SENTENCES = [["a", "b"], ["a", "a"]]
VOCABULARY = ["a", "b", "c"]


def entries(arpa: str) -> dict[str, tuple[float, float]]:
    """n-gram → p and back-off weight, 1 where there is none."""
    found = {}
    for line in arpa.splitlines():
        columns = line.split("\t")
        if len(columns) > 1:
            p, backoff = columns[0], columns[2] if len(columns) > 2 else "0"
            found[columns[1]] = 10 ** float(p), 10 ** float(backoff)
    return found


def test_witten_bell_as_by_hand() -> None:
    """c(a) = 3, c(b) = 1, c(</s>) = 2, three different ones, and 1/4 for each of a, b, c and </s> below."""
    found = entries(witten_bell(SENTENCES, VOCABULARY, order=2))
    a, b, c, end = (3 + 3 / 4) / 9, (1 + 3 / 4) / 9, (3 / 4) / 9, (2 + 3 / 4) / 9
    by_hand = {
        "<s>": (0, 1 / 3),
        "a": (a, 3 / 6),
        "b": (b, 1 / 2),
        "c": (c, 1),
        "</s>": (end, 1),
        "<s> a": ((2 + a) / 3, 1),
        "a a": ((1 + 3 * a) / 6, 1),
        "a b": ((1 + 3 * b) / 6, 1),
        "a </s>": ((1 + 3 * end) / 6, 1),
        "b </s>": ((1 + end) / 2, 1),
    }
    assert found.keys() == by_hand.keys()
    for ngram, expected in by_hand.items():
        assert found[ngram] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_probabilities_after_every_history_sum_to_one() -> None:
    found = entries(witten_bell([["a", "b", "a"], ["b"], [], ["a", "b", "b", "a"]], VOCABULARY))

    def probability(word: str, history: Sequence[str]) -> float:
        ngram = " ".join([*history, word])
        if ngram in found:
            return found[ngram][0]
        _, backoff = found.get(" ".join(history), (0, 1))
        return backoff * probability(word, history[1:])

    histories = [[], ["<s>"], ["a"], ["b"], ["c"], ["<s>", "a"], ["a", "b"], ["b", "a"], ["b", "b"]]
    for history in histories:
        assert sum(probability(word, history) for word in [*VOCABULARY, "</s>"]) == pytest.approx(1, abs=1e-4)


def test_words_outside_the_vocabulary_are_not_counted() -> None:
    with_unknown = witten_bell([*SENTENCES, ["b", "z", "a"]], VOCABULARY, order=2)
    assert "z" not in with_unknown
    assert {"<s> b", "a </s>"} <= entries(with_unknown).keys()


def test_without_texts_there_is_no_language_model() -> None:
    with pytest.raises(InvalidInputError, match="no training texts"):
        witten_bell([], VOCABULARY)


SIMPLE = Lexicon.of({"a": [("A",)], "b": [("B",)], "c": [("A", "B")], "d": [("A",)]})
WORDS = list(SIMPLE.words)


def flat_tree() -> SenoneTree:
    """Silence 0 … 2, A 3 … 5, and B 6 … 8 but 9 in its first state after silence."""
    after_silence = Question("left", frozenset({SILENCE}), 9, 6)
    roots: dict[str, tuple[Node, ...]] = {SILENCE: (0, 1, 2), "A": (3, 4, 5), "B": (after_silence, 7, 8)}
    return SenoneTree((SILENCE, "A", "B"), roots, 10)


def labels(*runs: tuple[int, int]) -> NDArray[np.uint16]:
    return np.repeat([senone for senone, _ in runs], [frames for _, frames in runs]).astype(np.uint16)


def test_moves_are_as_often_as_they_were_made() -> None:
    """Silence, A, A without its middle state, B of one frame; one is added to each move to the next state."""
    said = labels((0, 3), (1, 1), (2, 2), (3, 1), (4, 4), (5, 1), (3, 1), (5, 2), (7, 1))
    speech, silence = np.exp(-move_costs([said], flat_tree()))
    assert speech == pytest.approx(
        np.array([[3 / 4, 1 / 4, 0, 0], [0, 2 / 3, 1 / 3, 0], [0, 0, 2 / 3, 1 / 3], [0, 0, 0, 1]])
    )
    assert silence == pytest.approx(np.eye(STATES + 1))


def best_path(graph: Any, frames: Sequence[int], words: Sequence[str]) -> tuple[list[str], float]:
    """The words of a senone sequence, and what the graph says they cost."""
    acceptor = kaldifst.compile(
        "".join(f"{t} {t + 1} {senone + 1} {senone + 1}\n" for t, senone in enumerate(frames))
        + f"{len(frames)}\n"
    )
    kaldifst.arcsort(acceptor, "olabel")
    sorted_graph = kaldifst.StdVectorFst(graph)
    kaldifst.arcsort(sorted_graph, "ilabel")
    path = kaldifst.shortest_path(kaldifst.compose(acceptor, sorted_graph))
    _, _, numbers, weight = kaldifst.get_linear_symbol_sequence(path)
    return [words[number - 1] for number in numbers], weight.value


def test_a_path_costs_what_its_models_say() -> None:
    """Silence, b, c: the silence once, no pause twice, and a trigram that has never seen c after b."""
    arpa = witten_bell([["b"], ["c", "c"]], WORDS)
    costs = move_costs([], flat_tree())
    graph = compose(SIMPLE, flat_tree(), costs, grammar_fst(arpa, SIMPLE.words, "ours"))
    words, cost = best_path(graph, [0, 1, 1, 2, 9, 7, 7, 8, 3, 4, 5, 6, 7, 8, 8], WORDS)
    assert words == ["b", "c"]
    found = entries(arpa)
    language = (
        math.log(found["<s> b"][0])
        + math.log(found["<s> b"][1] * found["b"][1] * found["c"][0])
        + math.log(found["c </s>"][0])
    )
    assert cost == pytest.approx(3 * math.log(2) - language, abs=5e-3)


def test_a_sequence_that_no_word_has_is_no_path() -> None:
    arpa = witten_bell([["b"]], WORDS)
    graph = compose(SIMPLE, flat_tree(), move_costs([], flat_tree()), grammar_fst(arpa, SIMPLE.words, "ours"))
    words, _ = best_path(
        graph, [3, 4, 5, 9, 7, 8], WORDS
    )  # B after A with the senone that it has after silence.
    assert words == []


@pytest.fixture(scope="module")
def once_or_twice() -> tuple[Callable[[Setting], Decoder], float]:
    """A decoder that knows one word, and what it costs more to have said it twice."""
    arpa = witten_bell([["a"], ["a", "a"]], ["a"])
    lexicon = Lexicon.of({"a": [("A",)]})
    graph = compose(lexicon, flat_tree(), move_costs([], flat_tree()), grammar_fst(arpa, lexicon.words, ""))
    once, twice = (best_path(graph, [3, 4, 5] * times, ["a"]) for times in (1, 2))
    assert (once[0], twice[0]) == (["a"], ["a", "a"])
    return partial(Decoder, graph, ["a"]), twice[1] - once[1]


def said_twice(by: float) -> NDArray[np.float32]:
    """Six frames that are by so many nats more likely if the word was said twice."""
    frames = np.full((6, 10), -1000, np.float32)
    frames[np.arange(6), [3, 4, 5, 3, 4, 5]] = 0
    frames[3:5, 5] = -by / 2
    return frames


def test_words_cost_the_penalty_and_the_frames_their_scale(
    once_or_twice: tuple[Callable[[Setting], Decoder], float],
) -> None:
    decoder, more = once_or_twice
    frames = said_twice(by=2 * more)
    assert decoder(Setting(1, 0)).decode(frames) == ["a", "a"]
    assert decoder(Setting(1, 1.5 * more)).decode(frames) == ["a"]
    assert decoder(Setting(3, 0)).decode(frames) == ["a"]
    assert decoder(Setting(3, 0)).decode(frames[:0]) == []


def test_tuning_finds_the_setting_with_fewest_errors(
    once_or_twice: tuple[Callable[[Setting], Decoder], float],
) -> None:
    decoder, more = once_or_twice
    utterances = [("u", said_twice(by=7 * more))]
    assert tune(decoder, lambda: utterances, {"u": ["a"]}) == Setting(8, 0)
    assert tune(decoder, lambda: utterances, {"u": ["a", "a"]}) == Setting(min(LM_WEIGHTS), 0)


def test_errors_are_counted_by_kind() -> None:
    said = {"one": ["a", "b", "c"], "two": ["d"], "three": ["e", "f"]}
    heard = {"one": ["a", "x", "c"], "two": ["d", "d"]}
    errors = word_errors(said, heard)
    assert (errors.utterances, errors.words) == (3, 6)
    assert (errors.substitutions, errors.insertions, errors.deletions) == (1, 1, 2)
    assert errors.word_error_rate == pytest.approx(100 * 4 / 6)
    assert 0 <= errors.low < errors.word_error_rate < errors.high
    with pytest.raises(InvalidInputError, match="no texts"):
        word_errors({"one": []}, {})
