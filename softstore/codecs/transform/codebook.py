"""Small integers ↔ bytes: columns are put together in groups, and a byte names what a whole group holds.

Most coefficients are 0 nearly always, so a byte for each would be far more than their entropy, and Huffman
codes, which spend a bit at least on every byte, could not bring it back. A group is as many columns as have
256 combinations that cover nearly all of what occurs; its codebook lists them, the likeliest first. The
bytes of all groups are distributed alike then, falling from 0, and compress together close to their
entropy. A combination that is not listed is replaced by the nearest that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CODEWORDS = 256

UNCOVERED = 0.02
"""A group grows until its codebook would miss more than this share of what occurs."""

_MOST_COMBINATIONS = 2048
_MOST_COLUMNS = 16
_CUT = 1e-4
"""Of a column's values, so many may lie outside its range on either side."""


@dataclass(frozen=True)
class Codebooks:
    """The codebooks of all groups.

    Attributes:
        columns: shape (groups, group columns), int32: the columns of each group; -1 where it has fewer.
        words: shape (groups, 256, group columns), int8: what each byte stands for; 0 where there are fewer.
    """

    columns: NDArray[np.int32]
    words: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.columns)

    def encode(self, values: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Shape (rows, groups) from the integers of every column, (rows, columns)."""
        plan = self._plan
        indexes = np.clip(values[:, plan.order], -plan.reach, plan.reach)
        indexes += plan.reach
        indexes *= plan.weights
        combinations = np.add.reduceat(indexes, plan.starts, axis=1)
        combinations += plan.offsets
        return plan.bytes.take(combinations)

    @cached_property
    def _plan(self) -> _Plan:
        """How to look up bytes; only an encoder needs it."""
        used = self.columns >= 0
        reaches = [
            np.abs(words[:, columns].astype(np.int32)).max(axis=0)
            for words, columns in zip(self.words, used, strict=True)
        ]
        found = [
            _nearest(words[:, columns].astype(np.float32), reach)
            for words, columns, reach in zip(self.words, used, reaches, strict=True)
        ]
        strides = [np.cumprod([1, *(2 * reach[:0:-1] + 1)])[::-1] for reach in reaches]
        return _Plan(
            self.columns[used],
            np.concatenate(reaches).astype(np.int32),
            np.concatenate(strides).astype(np.int32),
            np.cumsum([0, *used.sum(axis=1)])[:-1],
            np.cumsum([0, *(len(bytes_) for bytes_ in found)])[:-1].astype(np.int32),
            np.concatenate(found),
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to find the bytes of many rows at once.

    Attributes:
        order: the columns of all groups, one group after another.
        reach: their largest values.
        weights: what a column's value counts in the number of its group's combination.
        starts: where each group begins in ``order``.
        offsets: where the bytes of each group's combinations begin.
        bytes: of all combinations of all groups.
    """

    order: NDArray[np.int32]
    reach: NDArray[np.int32]
    weights: NDArray[np.int32]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int32]
    bytes: NDArray[np.uint8]


def fit_codebooks(values: NDArray[np.int32]) -> Codebooks:
    """Codebooks for columns distributed like these, (rows, columns); columns that are always 0 get none."""
    reach = np.minimum(np.abs(values).max(axis=0) + 1, 127)
    reach[~values.any(axis=0)] = 0
    spread = values.std(axis=0)
    order = [int(column) for column in np.argsort(-spread, kind="stable") if reach[int(column)]]
    groups = _grouped([(column, _distribution(values[:, column], int(reach[column]))) for column in order])
    # Where nothing ever differs from 0, one group says so.
    groups = groups or [([0], np.ones(1))]
    # Bytes lie by falling entropy: neighbours share the tables of an entropy coder.
    groups.sort(key=lambda group: -_entropy(group[1]))
    width = max(len(columns) for columns, _ in groups)
    table = np.full((len(groups), width), -1, np.int32)
    words = np.zeros((len(groups), CODEWORDS, width), np.int8)
    for number, (columns, joint) in enumerate(groups):
        likeliest = np.argsort(-joint.ravel(), kind="stable")[:CODEWORDS]
        digits = np.stack(np.unravel_index(likeliest, joint.shape), axis=1)
        table[number, : len(columns)] = columns
        words[number, : len(likeliest), : len(columns)] = digits - np.array(joint.shape) // 2
        # Unused bytes repeat the likeliest word, so that no byte reads as something that never occurs.
        words[number, len(likeliest) :] = words[number, 0]
    return Codebooks(table, words)


_Group = tuple[list[int], NDArray[np.float64]]
"""The columns, and the probability of every combination, one axis a column."""


def _grouped(distributions: Sequence[tuple[int, NDArray[np.float64]]]) -> list[_Group]:
    groups: list[_Group] = []
    for column, distribution in distributions:
        if groups:
            columns, joint = groups[-1]
            wider = np.multiply.outer(joint, distribution)
            if len(columns) < _MOST_COLUMNS and _is_covered(wider.ravel()):
                groups[-1] = ([*columns, column], wider)
                continue
        groups.append(([column], distribution))
    return groups


def _is_covered(joint: NDArray[np.float64]) -> bool:
    if len(joint) <= CODEWORDS:
        return True
    if len(joint) > _MOST_COMBINATIONS:
        return False
    return float(np.partition(joint, -CODEWORDS)[-CODEWORDS:].sum()) >= 1 - UNCOVERED


def _distribution(values: NDArray[np.int32], reach: int) -> NDArray[np.float64]:
    """Probability of -reach … reach, without the outermost that hardly occur; symmetric and smoothed."""
    counts = np.bincount(np.clip(values, -reach, reach) + reach, minlength=2 * reach + 1).astype(np.float64)
    counts = (counts + counts[::-1]) / 2 + 0.5 * np.exp(-1.5 * np.abs(np.arange(-reach, reach + 1)))
    share = counts / counts.sum()
    outside = np.cumsum(share)[:reach]
    cut = min(int(np.searchsorted(outside, _CUT)), reach - 1)
    kept: NDArray[np.float64] = share[cut : len(share) - cut].copy()
    kept[[0, -1]] += share[:cut].sum()
    return kept


def _entropy(joint: NDArray[np.float64]) -> float:
    likely = joint[joint > 0]
    return float(-(likely * np.log2(likely)).sum())


def _nearest(words: NDArray[np.float32], reach: NDArray[np.int32]) -> NDArray[np.uint8]:
    """For every combination within ``reach``, in C order, the byte of its word or of the nearest one."""
    shape = tuple(2 * reach + 1)
    combinations = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1) - reach
    # |a - b|² without |a|²; ties go to the likelier word.
    distance = (words**2).sum(axis=1) - 2 * (combinations.astype(np.float32) @ words.T)
    nearest: NDArray[np.uint8] = distance.argmin(axis=1).astype(np.uint8)
    return nearest
