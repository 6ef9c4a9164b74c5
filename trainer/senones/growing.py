"""Grow decision trees by likelihood until they have exactly N leaves (Young, Odell & Woodland 1994).

Questions are not written by hand but come from clustering the phones, as in Kaldi: what a left neighbour does
to a phone shows in how the neighbour ends, so left questions cluster the phones by their last state and right
questions by their first.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softstore.errors import InvalidInputError
from trainer.alignment import STATES
from trainer.senones.questions import log_likelihood, phone_sets
from trainer.senones.statistics import TreeStatistics, TriphoneStates
from trainer.senones.tree import Node, Question, SenoneTree, Side

VARIANCE_FLOOR = 0.01
"""Least variance of a leaf, as a share of the variance of all frames (Kaldi's cluster-phones floor)."""

SIDES: tuple[Side, Side] = ("left", "right")
KEY_COLUMN = {"left": 0, "right": 2}


def grow_tree(statistics: TreeStatistics, senones: int = 2008, min_frames: int = 20) -> SenoneTree:
    """Tie triphone states: split where the training frames gain most likelihood, until N leaves are there.

    Every phone has `STATES` roots, so a leaf belongs to one phone and one state; silence is never split.

    Args:
        statistics: what the training part accumulated.
        senones: how many leaves to reach.
        min_frames: no split leaves a leaf with fewer training frames.

    Returns:
        A tree with exactly ``senones`` leaves, or with as many as `min_frames` and the contexts seen
        allow where those are fewer: compare `SenoneTree.num_senones` and say so.

    Raises:
        InvalidInputError: nothing was accumulated, or ``senones`` is less than one per phone and state.
    """
    data = statistics.collected()
    if not len(data.keys):
        raise InvalidInputError("The senone tree has no training frames: accumulate the training part first.")
    splitter = _Splitter(data, min_frames)
    roots = [[splitter.root(phone, state) for state in range(STATES)] for phone in range(len(data.phones))]
    fresh = [root for states in roots for root in states]
    count = len(fresh)
    if senones < count:
        raise InvalidInputError(
            f"{len(data.phones)} phones with {STATES} states each need at least {count} senones, "
            f"not {senones}."
        )
    candidates: list[tuple[float, int, _Leaf, _Split]] = []
    order = itertools.count()
    while True:
        for leaf in fresh:
            split = splitter.best_split(leaf)
            if split is not None:
                heapq.heappush(candidates, (-split.gain, next(order), leaf, split))
        if count == senones or not candidates:
            break
        *_, leaf, split = heapq.heappop(candidates)
        leaf.split, fresh = split, [split.yes, split.no]
        count += 1
    numbering = iter(range(count))
    return SenoneTree(
        phones=data.phones,
        roots={
            name: tuple(_freeze(root, data.phones, numbering) for root in states)
            for name, states in zip(data.phones, roots, strict=True)
        },
        num_senones=count,
    )


@dataclass(slots=True, eq=False)
class _Leaf:
    """Some rows of one phone's state: a leaf for as long as it has no split."""

    rows: NDArray[np.intp]
    split: _Split | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    gain: float
    side: Side
    members: NDArray[np.bool_]
    yes: _Leaf
    no: _Leaf


class _Splitter:
    """Finds the question that gains most likelihood at a leaf."""

    def __init__(self, data: TriphoneStates, min_frames: int) -> None:
        self._data = data
        self._min_frames = max(min_frames, 1)
        total = data.moments.sum(axis=0)
        dims = (len(total) - 1) // 2
        mean = total[1 : 1 + dims] / total[0]
        variance = total[1 + dims :] / total[0] - mean * mean
        self._floor = np.maximum(VARIANCE_FLOOR * variance, 1e-10)
        self._sets = {"left": self._phone_sets(STATES - 1), "right": self._phone_sets(0)}

    def root(self, phone: int, state: int) -> _Leaf:
        keys = self._data.keys
        return _Leaf(np.flatnonzero((keys[:, 1] == phone) & (keys[:, 3] == state)))

    def best_split(self, leaf: _Leaf) -> _Split | None:
        """The best question that leaves enough frames on both sides, if one gains anything."""
        if len(leaf.rows) < 2:
            return None
        moments = self._data.moments[leaf.rows]
        whole = moments.sum(axis=0)
        if whole[0] < 2 * self._min_frames:
            return None
        best: tuple[float, Side, NDArray[np.bool_]] | None = None
        unsplit = float(log_likelihood(whole, self._floor))
        for side in SIDES:
            neighbours = self._data.keys[leaf.rows, KEY_COLUMN[side]]
            yes = self._sets[side][:, neighbours].astype(np.float64) @ moments
            no = whole - yes
            gains = log_likelihood(yes, self._floor) + log_likelihood(no, self._floor) - unsplit
            gains[np.minimum(yes[:, 0], no[:, 0]) < self._min_frames] = -np.inf
            if len(gains) and gains.max() > max(best[0] if best else 0.0, 0.0):
                best = (float(gains.max()), side, self._sets[side][int(gains.argmax())])
        if best is None:
            return None
        gain, side, members = best
        answers = members[self._data.keys[leaf.rows, KEY_COLUMN[side]]]
        return _Split(gain, side, members, _Leaf(leaf.rows[answers]), _Leaf(leaf.rows[~answers]))

    def _phone_sets(self, state: int) -> NDArray[np.bool_]:
        keys, moments = self._data.keys, self._data.moments
        by_phone = np.zeros((len(self._data.phones), moments.shape[1]))
        chosen = keys[:, 3] == state
        np.add.at(by_phone, keys[chosen, 1], moments[chosen])
        return phone_sets(by_phone, self._floor)


def _freeze(leaf: _Leaf, phones: tuple[str, ...], numbering: Iterator[int]) -> Node:
    if leaf.split is None:
        return next(numbering)
    members = frozenset(phones[i] for i in np.flatnonzero(leaf.split.members))
    yes = _freeze(leaf.split.yes, phones, numbering)
    return Question(leaf.split.side, members, yes, _freeze(leaf.split.no, phones, numbering))
