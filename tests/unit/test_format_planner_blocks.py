"""Packing utterances whose frames come in blocks."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from softstore.planner import padded_frames, plan_shards


@given(st.lists(st.integers(1, 96), max_size=60), st.sampled_from([1, 2, 4, 8, 32]))
def test_blocks_of_every_utterance_fit(lengths: list[int], block: int) -> None:
    named = {f"u{number}": length for number, length in enumerate(lengths)}
    plans = plan_shards(named.items(), 96, block_frames=block)
    assert [name for plan in plans for name in plan.utterance_ids] == list(named)
    for plan in plans:
        assert sum(padded_frames(named[name], block) for name in plan.utterance_ids) <= 96
        assert plan.frames == sum(named[name] for name in plan.utterance_ids)
    for before, after in itertools.pairwise(plans):
        filled = sum(padded_frames(named[name], block) for name in before.utterance_ids)
        assert filled + padded_frames(named[after.utterance_ids[0]], block) > 96
