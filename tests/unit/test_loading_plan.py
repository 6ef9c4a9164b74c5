"""An epoch planned from lengths alone: everything once, streams never idle, ranks in step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trainer.loading.order import shuffle
from trainer.loading.plan import Plan, plan_streams, plan_whole
from trainer.loading.utterances import Utterances


def utterances(lengths: Sequence[int], run_length: int = 3) -> Utterances:
    """Of one store, in runs of so many utterances."""
    number = np.arange(len(lengths))
    frames = np.array(lengths, np.int64)
    ids = pa.chunked_array([[f"u{n}" for n in number]], pa.string())
    zeros = np.zeros_like(frames)
    return Utterances(ids, zeros, number // run_length, frames.cumsum() - frames, frames, zeros, zeros)


def rows(plan: Plan) -> set[tuple[int, int, int, int]]:
    columns = (plan.utterance, plan.stream, plan.begin, plan.end)
    return set(zip(*(column.tolist() for column in columns), strict=True))


many = st.lists(st.integers(1, 90), min_size=1, max_size=60)


@given(lengths=many, streams=st.integers(1, 6), delay=st.integers(0, 30), seed=st.integers(0, 5))
def test_streams_read_everything_once_and_never_idle(
    lengths: list[int], streams: int, delay: int, seed: int
) -> None:
    plan = plan_streams(utterances(lengths), seed, 1, streams=streams, chunk_frames=20, delay=delay)
    assert sorted(plan.utterance.tolist()) == list(range(len(lengths)))
    assert (np.diff(plan.begin) >= 0).all()
    free = [0] * streams
    for number, stream, begin, end in zip(plan.utterance, plan.stream, plan.begin, plan.end, strict=True):
        assert begin == free[stream] == min(free)
        assert end - begin == -(-(lengths[number] + delay) // 20)
        free[stream] = end
    assert plan.batches == max(free)


@given(lengths=many, share=st.integers(1, 3), ranks=st.integers(1, 4))
def test_the_ranks_streams_are_those_of_one_rank(lengths: list[int], share: int, ranks: int) -> None:
    def plan(rank: int, world_size: int) -> Plan:
        return plan_streams(
            utterances(lengths),
            0,
            1,
            streams=share * ranks,
            chunk_frames=20,
            delay=5,
            rank=rank,
            world_size=world_size,
        )

    together = set()
    for rank in range(ranks):
        own = plan(rank, ranks)
        assert own.batches == plan(0, 1).batches
        together |= {(number, rank * share + stream, *where) for number, stream, *where in rows(own)}
    assert together == rows(plan(0, 1))


@given(lengths=many, frames=st.integers(1, 400), ranks=st.integers(1, 3), delay=st.integers(0, 5))
def test_whole_utterances_come_once_in_batches_that_are_not_too_large(
    lengths: list[int], frames: int, ranks: int, delay: int
) -> None:
    plans = [
        plan_whole(utterances(lengths), 0, 1, frames=frames, delay=delay, rank=rank, world_size=ranks)
        for rank in range(ranks)
    ]
    assert sorted(number for plan in plans for number in plan.utterance.tolist()) == list(range(len(lengths)))
    first = plans[0]
    for plan in plans:
        np.testing.assert_array_equal(plan.steps, first.steps)
        np.testing.assert_array_equal(plan.streams, first.streams)
        assert len({*zip(plan.begin.tolist(), plan.stream.tolist(), strict=True)}) == len(plan.utterance)
        assert (plan.stream < plan.streams[plan.begin]).all()
    for batch in range(first.batches):
        held = [length for plan in plans for length in np.array(lengths)[plan.utterance[plan.begin == batch]]]
        assert first.steps[batch] == max(held) + delay
        assert len(held) * first.steps[batch] <= frames or len(held) == 1


def test_the_order_follows_from_seed_and_epoch() -> None:
    found = utterances([10] * 400)

    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(shuffle(found, seed, epoch).utterance.tolist())

    assert order(0, 1) == order(0, 1)
    assert len({order(0, 1), order(0, 2), order(1, 1)}) == 3
    assert sorted(order(0, 1)) == list(range(400))


def test_neighbours_come_in_one_window_but_seldom_together() -> None:
    found = utterances([10] * 3000)
    order = shuffle(found, 0, 1, window_runs=16)
    windows = [
        set(found.run[order.utterance[order.window == w]].tolist())
        for w in range(int(order.window.max()) + 1)
    ]
    assert sum(map(len, windows)) == len(set.union(*windows)) == 1000
    assert max(map(len, windows)) == 16
    assert (np.abs(np.diff(order.utterance)) == 1).mean() < 0.1
    assert (np.diff(order.utterance) > 0).mean() < 0.6


def test_utterances_of_similar_length_are_batched() -> None:
    lengths = np.random.default_rng(0).integers(100, 1000, 2000)
    plan = plan_whole(utterances(lengths.tolist()), 0, 1, frames=8000, delay=0)
    padded = (plan.steps * plan.streams).sum()
    assert padded < 1.1 * lengths.sum()
    assert (np.diff(plan.steps) > 0).mean() < 0.6
