"""Packing utterances into shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softstore.errors import InvalidInputError
from softstore.planner import plan_shards


@given(st.lists(st.integers(1, 100), max_size=60))
def test_every_utterance_is_planned_once_in_order_and_fits(lengths: list[int]) -> None:
    named = [(f"u{number}", length) for number, length in enumerate(lengths)]
    plans = plan_shards(named, 100)
    assert [name for plan in plans for name in plan.utterance_ids] == [name for name, _ in named]
    assert all(0 < plan.frames <= 100 for plan in plans)
    assert all(plan.frames == sum(dict(named)[name] for name in plan.utterance_ids) for plan in plans)
    assert [plan.shard for plan in plans] == list(range(len(plans)))


def test_an_utterance_that_is_there_twice_is_named() -> None:
    with pytest.raises(InvalidInputError, match="'u' is there twice"):
        plan_shards([("u", 1), ("v", 1), ("u", 2)], 100)


@pytest.mark.parametrize(("length", "sentence"), [(0, "has no frames"), (101, "--shard-frames")])
def test_what_cannot_be_packed_is_named_with_the_remedy(length: int, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'odd'.*{sentence}"):
        plan_shards([("odd", length)], 100)
