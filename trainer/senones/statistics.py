"""Single-Gaussian statistics of every triphone state seen in training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softstore.errors import InvalidInputError
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.senones.tree import contexts

PENDING_ROWS = 65_536
"""Runs of frames kept before they are summed by triphone state (bounds the memory)."""


@dataclass(frozen=True, slots=True)
class TriphoneStates:
    """Accumulated statistics, one row per (left, phone, right, state) seen, in sorted order.

    Attributes:
        phones: the inventory; the columns of `keys` index it.
        keys: shape (rows, 4), int64: left, phone, right, state.
        moments: shape (rows, 1 + 2 * dims), float64: frame count, sum, sum of squares.
    """

    phones: tuple[str, ...]
    keys: NDArray[np.int64]
    moments: NDArray[np.float64]


class TreeStatistics:
    """Counts, sums and sums of squares of features by triphone state.

    Any features do; decorrelated ones with deltas (`trainer.aligner.features.cepstra`) suit the diagonal
    Gaussians best. Phones given at the start have senones even where no frame is theirs.
    """

    def __init__(self, phones: Iterable[str] = ()) -> None:
        self._index: dict[str, int] = {}
        self._keys: list[NDArray[np.int64]] = []
        self._moments: list[NDArray[np.float64]] = []
        self._pending = 0
        for phone in (SILENCE, *phones):
            self._number(phone)

    def accumulate(self, features: NDArray[np.float32], alignment: Alignment) -> None:
        """Add one utterance.

        Args:
            features: shape (frames, dims), one row per frame of the alignment.

        Raises:
            InvalidInputError: the frames of features and alignment differ in number, or dims changed.
        """
        states = alignment.frame_states
        if len(features) != len(states):
            raise InvalidInputError(
                f"{len(features)} frames of features, but {len(states)} in their alignment."
            )
        if not len(states):
            return
        starts = np.concatenate([[0], np.flatnonzero(np.diff(states)) + 1])
        positions, hmm_states = np.divmod(states[starts], STATES)
        triphones = np.array(
            [
                (self._number(left), self._number(phone), self._number(right))
                for phone, (left, right) in zip(alignment.phones, contexts(alignment.phones), strict=True)
            ],
            dtype=np.int64,
        )
        values = features.astype(np.float64)
        lengths = np.diff(starts, append=len(states))[:, None]
        moments = [lengths, np.add.reduceat(values, starts), np.add.reduceat(values * values, starts)]
        self._add(np.column_stack([triphones[positions], hmm_states]), np.concatenate(moments, axis=1))

    def merge(self, other: TreeStatistics) -> None:
        """Add what another one has accumulated, for instance in another process."""
        theirs = other.collected()
        numbers = np.array([self._number(phone) for phone in theirs.phones], dtype=np.int64)
        if len(theirs.keys):
            self._add(np.column_stack([numbers[theirs.keys[:, :3]], theirs.keys[:, 3]]), theirs.moments)

    def collected(self) -> TriphoneStates:
        """All that was accumulated so far, one row per distinct triphone state.

        Phones are in alphabetical order and rows are sorted, whatever the order of the utterances.
        """
        self._compact()
        names = sorted(self._index)
        if not self._keys:
            return TriphoneStates(tuple(names), np.zeros((0, 4), np.int64), np.zeros((0, 1), np.float64))
        rank = np.empty(len(names), dtype=np.int64)
        rank[[self._index[name] for name in names]] = np.arange(len(names))
        keys = np.column_stack([rank[self._keys[0][:, :3]], self._keys[0][:, 3]])
        order = np.lexsort(keys.T[::-1])
        return TriphoneStates(tuple(names), keys[order], self._moments[0][order])

    def _number(self, phone: str) -> int:
        return self._index.setdefault(phone, len(self._index))

    def _add(self, keys: NDArray[np.int64], moments: NDArray[np.float64]) -> None:
        if self._moments and moments.shape[1] != self._moments[0].shape[1]:
            raise InvalidInputError(
                "Features of different dimensions cannot go into the same tree statistics."
            )
        self._keys.append(keys)
        self._moments.append(moments)
        self._pending += len(keys)
        if self._pending >= PENDING_ROWS:
            self._compact()

    def _compact(self) -> None:
        if len(self._keys) > 1 or self._pending:
            keys = np.concatenate(self._keys)
            moments = np.concatenate(self._moments)
            order = np.lexsort(keys.T)
            keys = keys[order]
            starts = np.concatenate([[0], np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1])
            self._keys = [keys[starts]]
            self._moments = [np.add.reduceat(moments[order], starts)]
            self._pending = 0
