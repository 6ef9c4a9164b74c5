"""Which utterance is in which batches of an epoch, and in which stream: worked out from lengths alone."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from trainer.examples import RUN_FRAMES
from trainer.loading.order import WINDOW_RUNS, shuffle
from trainer.loading.utterances import Numbers, Utterances

WINDOW_BATCHES = 16
"""Batches of whole utterances are cut from windows of at least so many, sorted by length."""


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """An epoch of one rank; the first four arrays have one number an utterance, those it begins first first.

    Attributes:
        utterance: its number in `Utterances`.
        stream: of this rank's batches.
        begin, end: the first batch that it is in, and the first that it is no longer in.
        turn: when its run is to be read.
        steps, streams: of each batch of the epoch, (batches,); the same on every rank.
    """

    utterance: Numbers
    stream: Numbers
    begin: Numbers
    end: Numbers
    turn: Numbers
    steps: Numbers
    streams: Numbers

    @property
    def batches(self) -> int:
        return len(self.steps)


def plan_streams(
    utterances: Utterances,
    seed: int,
    epoch: int,
    *,
    streams: int,
    chunk_frames: int,
    delay: int,
    rank: int = 0,
    world_size: int = 1,
) -> Plan:
    """Each stream, when its utterance is over, takes the next one of the epoch's order.

    All ranks lay out all streams, then keep their share: rank r of W has those from r · streams / W on.
    """
    order = shuffle(utterances, seed, epoch)
    chunks = -(-(utterances.num_frames[order.utterance] + delay) // chunk_frames)
    # The next utterance goes to the stream that is free first, of those the lowest: batch · streams + stream.
    free = list(range(streams))
    places = np.fromiter(
        (heapq.heapreplace(free, free[0] + length) for length in (chunks * streams).tolist()),
        np.int64,
        len(chunks),
    )
    begin, stream = np.divmod(places, streams)
    batches = int((begin + chunks).max())
    share = streams // world_size
    ours = stream // share == rank
    mine = order.utterance[ours]
    return Plan(
        mine,
        stream[ours] % share,
        begin[ours],
        (begin + chunks)[ours],
        order.turn[utterances.run[mine]],
        np.broadcast_to(np.int64(chunk_frames), batches),
        np.broadcast_to(np.int64(share), batches),
    )


def plan_whole(
    utterances: Utterances,
    seed: int,
    epoch: int,
    *,
    frames: int,
    delay: int,
    rank: int = 0,
    world_size: int = 1,
) -> Plan:
    """Utterances of similar length side by side, a window's batches shuffled among each other.

    Rank r of W keeps utterances r, r + W, … of every batch.
    """
    window_runs = max(WINDOW_RUNS, -(-WINDOW_BATCHES * frames // RUN_FRAMES))
    order = shuffle(utterances, seed, epoch, window_runs)
    steps = utterances.num_frames[order.utterance] + delay
    by_length = np.lexsort((steps, order.window))
    utterance, steps, window = order.utterance[by_length], steps[by_length], order.window[by_length]
    first = _cut(steps, window, frames)
    sizes = np.diff(first, append=len(steps))
    generator = np.random.default_rng([seed, epoch, 1])
    shuffled = generator.permutation(len(first))
    shuffled = shuffled[np.argsort(window[first[shuffled]], kind="stable")]
    number = np.empty_like(shuffled)
    number[shuffled] = np.arange(len(shuffled))
    batch = np.repeat(number, sizes)
    place = np.arange(len(steps)) - np.repeat(first, sizes)
    longest = steps[first + sizes - 1]
    kept = np.flatnonzero(place % world_size == rank)
    kept = kept[np.argsort(batch[kept], kind="stable")]
    return Plan(
        utterance[kept],
        place[kept] // world_size,
        batch[kept],
        batch[kept] + 1,
        order.turn[utterances.run[utterance[kept]]],
        longest[shuffled],
        -(-sizes[shuffled] // world_size),
    )


def _cut(steps: Numbers, window: Numbers, frames: int) -> Numbers:
    """The first utterance of each batch: as many as ``frames`` steps hold, padded to the longest."""
    first: list[int] = []
    before = -1
    for number, (length, where) in enumerate(zip(steps.tolist(), window.tolist(), strict=True)):
        if where != before or (number - first[-1] + 1) * length > frames:
            first.append(number)
            before = where
    return np.array(first, np.int64)
