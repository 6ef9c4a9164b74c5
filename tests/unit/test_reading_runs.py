"""Utterances in runs of neighbours, and reading ahead."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softstore.codecs import TrackSpec
from softstore.format import Attributes
from softstore.planner import padded_frames, plan_shards
from softstore.reading_ahead import read_ahead
from softstore.runs import plan_runs

SHARD = 48


@given(
    lengths=st.lists(st.integers(1, 40), max_size=20),
    kept=st.lists(st.booleans(), min_size=20, max_size=20),
    block=st.sampled_from([1, 4]),
    most=st.integers(1, 60),
)
def test_runs_are_the_utterances_in_order_side_by_side_in_one_shard(
    lengths: list[int], kept: list[bool], block: int, most: int
) -> None:
    attributes = Attributes(
        kind="corpus",
        class_count=2,
        shard_frames=SHARD,
        chunk_frames=8,
        block_frames=block,
        tracks={"labels": TrackSpec("uint16")},
    )
    by_id = {str(number): frames for number, frames in enumerate(lengths)}
    placed = []
    for plan in plan_shards(by_id.items(), SHARD, block_frames=block):
        first = plan.shard * SHARD
        for utterance_id in plan.utterance_ids:
            placed.append((first, by_id[utterance_id]))
            first += padded_frames(by_id[utterance_id], block)
    placed = [row for row, keep in zip(placed, kept, strict=False) if keep]
    columns = {"first_frame": pa.int64(), "num_frames": pa.int32()}
    table = pa.table(
        {name: pa.array([row[i] for row in placed], t) for i, (name, t) in enumerate(columns.items())}
    )
    runs = plan_runs(table, attributes, most)
    assert [row for run in runs for row in run.utterances.to_pylist()] == table.to_pylist()
    for run in runs:
        position = run.first_frame
        for first, frames in zip(*(column.to_pylist() for column in run.utterances.columns), strict=True):
            assert first == position
            position += padded_frames(frames, block)
        assert position == run.first_frame + run.num_frames
        assert run.first_frame // SHARD == (position - 1) // SHARD
        assert run.num_frames <= most or len(run.utterances) == 1


def test_what_is_read_ahead_comes_in_order_and_never_too_much_of_it() -> None:
    begun: list[int] = []
    for number, square in enumerate(read_ahead(lambda n: begun.append(n) or n * n, range(50), 3, ahead=4)):  # type: ignore[func-returns-value]
        assert square == number * number
        assert len(begun) <= number + 4
    assert sorted(begun) == list(range(50))


def test_an_error_is_raised_in_its_turn_and_stopping_early_leaves_no_thread() -> None:
    before = threading.active_count()
    results = read_ahead(lambda n: 1 // (2 - n), range(20), 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    endless = read_ahead(lambda n: n, iter(int, 1), 2)
    assert next(endless) == 0
    endless.close()
    assert threading.active_count() == before
