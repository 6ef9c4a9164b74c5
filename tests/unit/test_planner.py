"""Packing utterances into shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softstore.errors import InvalidInputError
from softstore.planner import pack, plan_shards


@given(st.lists(st.integers(1, 100), max_size=60))
def test_every_utterance_is_planned_once_in_order_and_fits(lengths: list[int]) -> None:
    named = [(f"u{number}", length) for number, length in enumerate(lengths)]
    plans = plan_shards(named, 100)
    assert [name for plan in plans for name in plan.utterance_ids] == [name for name, _ in named]
    assert all(0 < plan.frames <= 100 for plan in plans)
    assert all(plan.frames == sum(dict(named)[name] for name in plan.utterance_ids) for plan in plans)
    assert [plan.shard for plan in plans] == list(range(len(plans)))


@given(
    st.lists(st.lists(st.integers(1, 100), max_size=9), max_size=9), st.integers(100, 150), st.integers(1, 16)
)
def test_utterances_that_come_in_pieces_are_packed_alike(
    pieces: list[list[int]], room: int, block_frames: int
) -> None:
    room += block_frames
    lengths = [np.array(piece, np.int32) for piece in pieces]
    together = np.concatenate([np.empty(0, np.int32), *lengths])
    assert (
        pack(lengths, room, block_frames, str).tolist() == pack([together], room, block_frames, str).tolist()
    )


def test_what_cannot_be_packed_is_found_in_any_piece() -> None:
    lengths = [np.array([5, 6]), np.array([7, 0])]
    with pytest.raises(InvalidInputError, match="'3' has no frames"):
        pack(lengths, 100, 1, str)
    with pytest.raises(InvalidInputError, match="'2' has 7 frames, a shard has room for 6"):
        pack([lengths[0], lengths[1][:1]], 6, 1, str)


def test_an_utterance_that_is_there_twice_is_named() -> None:
    with pytest.raises(InvalidInputError, match="'u' is there twice"):
        plan_shards([("u", 1), ("v", 1), ("u", 2)], 100)


@pytest.mark.parametrize(("length", "sentence"), [(0, "has no frames"), (101, "--shard-frames")])
def test_what_cannot_be_packed_is_named_with_the_remedy(length: int, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'odd'.*{sentence}"):
        plan_shards([("odd", length)], 100)
