"""Which shards are still to be made: the same for everybody, whenever they ask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softstore import spilled
from softstore.errors import ConflictError
from softstore.survey import Survey, key
from softstore.tasks import Plan, plan_tasks

ROOM = 100

Stored = list[tuple[str, int, int]]
"""(utterance id, frames, shard) of everything published, shard by shard."""


def surveyed(utterances: Stored) -> Survey:
    names, frames, shards = zip(*utterances, strict=True) if utterances else ((), (), ())
    found = Survey()
    found.add(
        np.array([key(name) for name in names], np.int64),
        np.array(frames, np.int32),
        np.array([length * 7 for length in frames], np.uint32),
        np.array(shards, np.int32),
    )
    return found


def plan(corpus: dict[str, int], stored: Stored, block_frames: int = 1) -> Plan:
    source = surveyed([(name, frames, 0) for name, frames in corpus.items()])
    published = surveyed(sorted(stored, key=lambda utterance: utterance[2]))
    return plan_tasks(source, published, ROOM, block_frames, list(corpus).__getitem__)


def contents(corpus: dict[str, int], found: Plan) -> dict[int, list[str]]:
    """Utterances by the shard they are to go into."""
    names = list(corpus)
    shards: dict[int, list[str]] = {}
    for unit in found.units.tolist():
        shard = int(found.shards[unit])
        assert shard not in shards
        shards[shard] = [names[row] for row in found.rows(unit)]
    return shards


def publish(stored: Stored, corpus: dict[str, int], shard: int, names: list[str]) -> None:
    assert shard not in {taken for _, _, taken in stored}
    assert sum(corpus[name] for name in names) <= ROOM
    stored.extend((name, corpus[name], shard) for name in names)


corpora = st.lists(st.integers(1, 60), min_size=1, max_size=40).map(
    lambda lengths: {f"u{number}": length for number, length in enumerate(lengths)}
)


@settings(deadline=None)
@given(corpora)
def test_from_nothing_every_utterance_is_planned_in_order(corpus: dict[str, int]) -> None:
    shards = contents(corpus, plan(corpus, []))
    assert [name for shard in sorted(shards) for name in shards[shard]] == list(corpus)
    assert sorted(shards) == list(range(len(shards)))


@settings(deadline=None)
@given(corpora, st.data())
def test_whatever_is_published_first_the_rest_stays_as_it_was_planned(
    corpus: dict[str, int], data: st.DataObject
) -> None:
    stored: Stored = []
    shards = contents(corpus, plan(corpus, stored))
    for shard in data.draw(st.permutations(sorted(shards))):
        assert contents(corpus, plan(corpus, stored)) == shards
        publish(stored, corpus, shard, shards.pop(shard))
    assert not plan(corpus, stored).utterances


@settings(deadline=None)
@given(corpora, corpora, st.data())
def test_a_corpus_that_grew_is_completed_in_any_order_and_by_several(
    first: dict[str, int], more: dict[str, int], data: st.DataObject
) -> None:
    stored: Stored = []
    for shard, names in contents(first, plan(first, stored)).items():
        publish(stored, first, shard, names)
    # Utterances come at the end, or among the others.
    grown = first | {f"new {name}": frames for name, frames in more.items()}
    if data.draw(st.booleans()):
        grown = {name: grown[name] for name in data.draw(st.permutations(sorted(grown)))}
    shards = contents(grown, plan(grown, stored))
    assert sorted(name for names in shards.values() for name in names) == sorted(
        name for name in grown if name not in first
    )
    for shard in data.draw(st.permutations(sorted(shards))):
        # Another run that asks now plans the same shards.
        assert contents(grown, plan(grown, stored)) == shards
        publish(stored, grown, shard, shards.pop(shard))
    assert not plan(grown, stored).utterances


@settings(deadline=None)
@given(corpora, st.data())
def test_what_was_skipped_goes_into_shards_of_its_own(corpus: dict[str, int], data: st.DataObject) -> None:
    stored: Stored = []
    skipped = data.draw(st.sets(st.sampled_from(sorted(corpus))))
    for shard, names in contents(corpus, plan(corpus, stored)).items():
        if kept := [name for name in names if name not in skipped]:
            publish(stored, corpus, shard, kept)
    again = contents(corpus, plan(corpus, stored))
    assert {name for names in again.values() for name in names} == skipped
    for shard, names in again.items():
        publish(stored, corpus, shard, names)
    assert not plan(corpus, stored).utterances


def test_utterances_that_are_left_out_are_not_planned() -> None:
    corpus = {"a": 60, "b": 60, "c": 10}
    source = surveyed([(name, frames, 0) for name, frames in corpus.items()])
    found = plan_tasks(source, surveyed([]), ROOM, 1, list(corpus).__getitem__, [key("b")])
    assert contents(corpus, found) == {0: ["a"], 1: ["c"]}
    assert (found.utterances, found.frames) == (2, 70)


@settings(deadline=None)
@given(corpora, st.data())
def test_what_does_not_fit_into_memory_is_planned_alike(corpus: dict[str, int], data: st.DataObject) -> None:
    shards = contents(corpus, plan(corpus, []))
    stored: Stored = []
    for shard in data.draw(st.sets(st.sampled_from(sorted(shards)))):
        publish(stored, corpus, shard, shards[shard])
    stored += [("not of the corpus", 3, len(shards) + data.draw(st.integers(0, 2)))]
    grown = {"new": 50, **corpus, "newer": 7}
    block_frames = data.draw(st.sampled_from([1, 8]))
    whole = plan(grown, stored, block_frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilled, "RUN", data.draw(st.integers(1, 9)))
        pieces = plan(grown, stored, block_frames)
    assert contents(grown, pieces) == contents(grown, whole)
    assert pieces.bounds.tolist() == whole.bounds.tolist()
    assert (pieces.utterances, pieces.frames) == (whole.utterances, whole.frames)


def test_the_first_with_other_features_is_named_also_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled, "RUN", 4)
    corpus = {f"u{number}": 10 for number in range(100)}
    stored = [(name, 11 if name in ("u30", "u31", "u99") else 10, 0) for name in corpus]
    with pytest.raises(ConflictError, match="'u30' has other features"):
        plan(corpus, stored[::-1])


def test_other_features_under_the_same_id_are_refused() -> None:
    source = surveyed([("a", 60, 0), ("b", 60, 0)])
    with pytest.raises(ConflictError, match="'b' has other features"):
        plan_tasks(source, surveyed([("b", 59, 0)]), ROOM, 1, ["a", "b"].__getitem__)
