"""State graphs and the batched Viterbi search over them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.aligner.features import cepstra, normalised
from trainer.aligner.mixtures import Mixtures
from trainer.aligner.transcript import START, PhoneGraph, StateGraph, phone_graph, state_graph
from trainer.aligner.viterbi import as_alignment, batches, viterbi
from trainer.alignment import SILENCE, STATES

LEXICON: dict[str, list[tuple[str, ...]]] = {
    "a": [("X",), ("Y", "Z")],
    "b": [("Z", "X")],
    "c": [("Y",), ("X", "Y", "Z"), ("Z",)],
}
PHONES = (SILENCE, "X", "Y", "Z")


def untied(left: str, phone: str, right: str) -> NDArray[np.int32]:
    return (PHONES.index(phone) * STATES + np.arange(STATES)).astype(np.int32)


def by_left_neighbour(left: str, phone: str, right: str) -> NDArray[np.int32]:
    return untied(left, phone, right) + STATES * len(PHONES) * PHONES.index(left)


def model(distributions: int, seed: int = 0) -> Mixtures:
    random = np.random.default_rng(seed)
    return Mixtures(
        np.full((distributions, 2), 0.5, np.float32),
        random.normal(size=(distributions, 2, 3)).astype(np.float32),
        np.ones((distributions, 2, 3), np.float32),
    )


def frames(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def readings(graph: PhoneGraph) -> set[tuple[str, ...]]:
    def back(node: int) -> list[tuple[str, ...]]:
        if node == START:
            return [()]
        return [
            (*before, graph.phones[node]) for previous in graph.previous[node] for before in back(previous)
        ]

    return {reading for final in graph.finals for reading in back(final)}


def best_by_enumeration(reading: tuple[str, ...], scores: NDArray[np.float32]) -> float:
    """The score of the best monotone path through one reading's states, by plain dynamic programming."""
    states = np.concatenate([untied("", phone, "") for phone in reading])
    column = np.full(len(states), -np.inf)
    column[0] = scores[0, states[0]]
    for row in scores[1:]:
        column = np.maximum(column, np.concatenate([[-np.inf], column[:-1]])) + row[states]
    return float(column[-1])


def test_every_reading_with_optional_silences_is_in_the_graph() -> None:
    expected = set()
    for pronunciation, *silent in itertools.product(LEXICON["a"], *[[(), (SILENCE,)]] * 3):
        expected.add((*silent[0], *pronunciation, *silent[1], *LEXICON["b"][0], *silent[2]))
    assert readings(phone_graph(["a", "b"], LEXICON)) == expected


@pytest.mark.parametrize("in_context", [False, True])
def test_the_best_path_is_the_best_of_all_readings(in_context: bool) -> None:
    transcripts = [["a", "b"], ["c"], ["b", "c", "a"], ["a"], ["c", "a"]]
    features = [frames(30 + 7 * index, index) for index in range(len(transcripts))]
    graphs = [phone_graph(words, LEXICON) for words in transcripts]
    states = [state_graph(graph, untied, in_context) for graph in graphs]
    mixtures = model(STATES * len(PHONES))
    lengths = [len(own) for own in features]
    for graph, own, path in zip(
        graphs, features, viterbi(mixtures, features, batches(lengths, states), 1), strict=True
    ):
        scores = mixtures.log_likelihoods(own, np.arange(STATES * len(PHONES), dtype=np.int32))
        best = max(best_by_enumeration(reading, scores) for reading in readings(graph))
        assert path.log_likelihood == pytest.approx(best, rel=1e-4)


def test_a_path_is_worth_the_scores_along_it_and_respects_context() -> None:
    graph = phone_graph(["a", "b", "c"], LEXICON)
    states: StateGraph = state_graph(graph, by_left_neighbour, True)
    features, mixtures = [frames(60)], model(STATES * len(PHONES) ** 2)
    path = viterbi(mixtures, features, batches([60], [states]), 1)[0]
    alignment = as_alignment(states, path)
    assert alignment.phones in readings(graph)
    lefts = [
        SILENCE if phone == SILENCE else left
        for left, phone in zip((SILENCE, *alignment.phones), alignment.phones, strict=False)
    ]
    table = np.concatenate(
        [by_left_neighbour(left, phone, "") for left, phone in zip(lefts, alignment.phones, strict=True)]
    )
    spoken = table[alignment.frame_states]
    assert np.array_equal(spoken, states.distributions[path.states])
    scores = mixtures.log_likelihoods(features[0], np.arange(STATES * len(PHONES) ** 2, dtype=np.int32))
    assert path.log_likelihood == pytest.approx(scores[np.arange(60), spoken].sum(), rel=1e-4)


def test_batches_do_not_change_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = [state_graph(phone_graph(["a", "c"], LEXICON), untied, True) for _ in range(6)]
    features = [frames(20 + 5 * index, index) for index in range(6)]
    lengths = [len(own) for own in features]
    together = batches(lengths, graphs)
    monkeypatch.setattr("trainer.aligner.viterbi.BATCH_CELLS", 1)
    apart = batches(lengths, graphs)
    assert (len(together), len(apart)) == (1, 6)
    mixtures = model(STATES * len(PHONES))
    for one, other in zip(
        viterbi(mixtures, features, together, 1), viterbi(mixtures, features, apart, 2), strict=True
    ):
        assert np.array_equal(one.states, other.states)


def test_cepstra_of_constant_energies_have_no_deltas() -> None:
    features = cepstra(np.full((12, 40), 3.0, np.float32))
    assert features.shape == (12, 39)
    assert features[:, 0] == pytest.approx(3.0 * np.sqrt(40))
    assert np.abs(features[:, 1:]).max() < 1e-4


def test_a_speaker_is_normalised_over_all_utterances() -> None:
    own = normalised([frames(50, 1) * 3 + 7, frames(80, 2) * 3 + 9])
    together = np.concatenate(own)
    assert [len(part) for part in own] == [50, 80]
    assert np.abs(together.mean(axis=0)).max() < 1e-5
    assert together.std(axis=0) == pytest.approx(1.0, abs=1e-5)
