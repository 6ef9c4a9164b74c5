"""Tying by decision tree: the right number of leaves, the right questions, and a faithful JSON form."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from numpy.typing import NDArray

from softstore.errors import FormatError, InvalidInputError
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.senones import SenoneTree, TreeStatistics, grow_tree
from trainer.senones.questions import log_likelihood
from trainer.senones.tree import contexts

PHONES = ("A", "E", "O", "B", "D", "S", "Z")
ROOTS = STATES * (len(PHONES) + 1)
DIMS = 6
HISSING = frozenset({"S", "Z"})


def alignment(phones: tuple[str, ...], random: np.random.Generator) -> Alignment:
    lengths = random.integers(1, 5, size=STATES * len(phones))
    return Alignment(phones, np.repeat(np.arange(len(lengths)), lengths).astype(np.int32))


def utterance(seed: int, words: int = 12) -> tuple[NDArray[np.float32], Alignment]:
    """Each phone's state has its own place; S and Z on the left move the first state of every other phone.

    Phones that sound alike are near each other, so that clustering has something to find.
    """
    random = np.random.default_rng(seed)
    phones = (SILENCE, *random.choice(PHONES, size=words), SILENCE)
    aligned = alignment(tuple(str(phone) for phone in phones), random)
    place = {SILENCE: 0.0, "A": 4.0, "E": 4.5, "O": 5.0, "B": 9.0, "D": 9.5, "S": 14.0, "Z": 14.5}
    means = np.zeros((len(phones) * STATES, DIMS))
    for position, (phone, (left, _)) in enumerate(zip(aligned.phones, contexts(aligned.phones), strict=True)):
        for state in range(STATES):
            means[position * STATES + state] = place[phone] + 0.3 * state
            if state == 0 and left in HISSING and phone not in HISSING:
                means[position * STATES + state, 0] += 6.0
    noise = random.normal(size=(len(aligned.frame_states), DIMS))
    return (means[aligned.frame_states] + noise).astype(np.float32), aligned


@pytest.fixture(scope="module")
def training() -> list[tuple[NDArray[np.float32], Alignment]]:
    return [utterance(seed) for seed in range(150)]


@pytest.fixture(scope="module")
def statistics(training: list[tuple[NDArray[np.float32], Alignment]]) -> TreeStatistics:
    result = TreeStatistics()
    for features, aligned in training:
        result.accumulate(features, aligned)
    return result


def likelihood(tree: SenoneTree, training: list[tuple[NDArray[np.float32], Alignment]]) -> float:
    features = np.concatenate([own for own, _ in training]).astype(np.float64)
    labels = np.concatenate([tree.label(aligned) for _, aligned in training])
    moments = np.zeros((tree.num_senones, 1 + 2 * DIMS))
    np.add.at(moments, labels, np.concatenate([np.ones((len(features), 1)), features, features**2], axis=1))
    return float(log_likelihood(moments, np.full(DIMS, 1e-6)).sum())


@pytest.mark.parametrize("senones", [ROOTS, ROOTS + 1, 50, 77, 120])
def test_exactly_as_many_senones_as_asked_for(statistics: TreeStatistics, senones: int) -> None:
    assert grow_tree(statistics, senones, min_frames=5).num_senones == senones


def test_every_senone_is_used_by_the_training_part(
    statistics: TreeStatistics, training: list[tuple[NDArray[np.float32], Alignment]]
) -> None:
    tree = grow_tree(statistics, 120, min_frames=15)
    counts = np.bincount(np.concatenate([tree.label(aligned) for _, aligned in training]), minlength=120)
    assert counts.min() >= 15


def test_data_that_cannot_support_so_many_give_as_many_as_they_can(statistics: TreeStatistics) -> None:
    few = grow_tree(statistics, 2008, min_frames=40).num_senones
    more = grow_tree(statistics, 2008, min_frames=20).num_senones
    assert ROOTS < few < more < 2008


def test_likelihood_grows_with_the_number_of_senones(
    statistics: TreeStatistics, training: list[tuple[NDArray[np.float32], Alignment]]
) -> None:
    found = [likelihood(grow_tree(statistics, senones, 5), training) for senones in (ROOTS, 30, 40, 60, 100)]
    assert all(np.diff(found) > 0)


def test_a_planted_left_context_is_found(statistics: TreeStatistics) -> None:
    """Five phones' first states depend on whether S or Z precedes: the first five splits say exactly that."""
    tree = grow_tree(statistics, ROOTS + 5)
    for phone, neighbour in itertools.product(set(PHONES) - HISSING, PHONES):
        hissing, plain = tree.senones("S", phone, "A"), tree.senones("A", phone, "A")
        assert hissing[0] != plain[0]
        assert list(hissing[1:]) == list(plain[1:])
        expected = hissing if neighbour in HISSING else plain
        assert tree.senones(neighbour, phone, "B")[0] == expected[0]


def test_json_gives_back_the_same_labels_and_names(
    statistics: TreeStatistics, training: list[tuple[NDArray[np.float32], Alignment]]
) -> None:
    tree = grow_tree(statistics, 100, min_frames=5)
    again = SenoneTree.from_json(json.loads(json.dumps(tree.to_json())))
    assert again == tree
    assert [again.name(i) for i in range(100)] == [tree.name(i) for i in range(100)]
    for _, aligned in training:
        assert np.array_equal(again.label(aligned), tree.label(aligned))


def test_unseen_contexts_reach_a_leaf_of_the_right_phone_and_state(statistics: TreeStatistics) -> None:
    tree = grow_tree(statistics, 120, min_frames=5)
    for left, phone, right in itertools.product(
        (*PHONES, SILENCE, "NEW"), (*PHONES, SILENCE), (*PHONES, "NEW")
    ):
        found = [tree.phone_and_state(int(senone)) for senone in tree.senones(left, phone, right)]
        assert found == [(phone, state) for state in range(STATES)]


def test_silence_is_never_split(statistics: TreeStatistics) -> None:
    tree = grow_tree(statistics, 120, min_frames=5)
    assert [tree.name(int(senone)) for senone in tree.senones("A", SILENCE, "S")] == [
        f"SIL[{state}] *_*" for state in range(STATES)
    ]


def test_names_tell_phone_state_and_context(statistics: TreeStatistics) -> None:
    tree = grow_tree(statistics, ROOTS + 5)
    assert tree.name(int(tree.senones("S", "A", "B")[0])) == "A[0] S|Z_*"
    assert tree.name(int(tree.senones("B", "A", "B")[0])) == "A[0] A|B|D…_*"


def test_order_and_process_of_accumulation_do_not_matter(
    statistics: TreeStatistics, training: list[tuple[NDArray[np.float32], Alignment]]
) -> None:
    halves = TreeStatistics(["Z"]), TreeStatistics()
    for index, (features, aligned) in enumerate(reversed(training)):
        halves[index % 2].accumulate(features, aligned)
    halves[0].merge(halves[1])
    one, other = statistics.collected(), halves[0].collected()
    assert one.phones == other.phones
    assert np.array_equal(one.keys, other.keys)
    assert np.allclose(one.moments, other.moments)


def test_statistics_are_compacted_without_loss(
    training: list[tuple[NDArray[np.float32], Alignment]],
    statistics: TreeStatistics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.senones.statistics.PENDING_ROWS", 100)
    often = TreeStatistics()
    for features, aligned in training:
        often.accumulate(features, aligned)
    assert np.allclose(often.collected().moments, statistics.collected().moments)
    assert often.collected().moments[:, 0].sum() == sum(len(features) for features, _ in training)


def test_a_phone_without_frames_still_has_senones(statistics: TreeStatistics) -> None:
    extended = TreeStatistics(["RARE"])
    extended.merge(statistics)
    tree = grow_tree(extended, 60)
    assert tree.num_senones == 60
    assert [tree.phone_and_state(int(s))[0] for s in tree.senones("A", "RARE", "B")] == ["RARE"] * STATES


def test_an_empty_alignment_has_no_labels(statistics: TreeStatistics) -> None:
    assert grow_tree(statistics, 40).label(Alignment((), np.zeros(0, np.int32))).shape == (0,)


def test_bad_requests_are_clear_errors(statistics: TreeStatistics) -> None:
    with pytest.raises(InvalidInputError, match="need at least 24 senones"):
        grow_tree(statistics, 23)
    with pytest.raises(InvalidInputError, match="no training frames"):
        grow_tree(TreeStatistics(), 100)
    with pytest.raises(InvalidInputError, match="no phone 'Q'"):
        grow_tree(statistics, 40).senones("A", "Q", "A")
    features, aligned = utterance(0)
    with pytest.raises(InvalidInputError, match="frames of features"):
        TreeStatistics().accumulate(features[:-1], aligned)


@pytest.mark.parametrize(
    "damage", [{"roots": 1}, {"states": 4}, {"num_senones": 41}, {"roots": {"A": [{}, {}, {}]}}]
)
def test_what_is_no_tree_is_not_read(statistics: TreeStatistics, damage: dict[str, object]) -> None:
    value = grow_tree(statistics, 40).to_json() | damage
    with pytest.raises(FormatError):
        SenoneTree.from_json(value)
