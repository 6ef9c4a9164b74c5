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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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

    def lookup(self, device: torch.device) -> Lookup:
        """How to find bytes; only an encoder needs it."""
        used = self.columns >= 0
        reaches = np.where(used, np.abs(self.words.astype(np.int64)).max(axis=1), 0)
        found = [
            _nearest(words[:, columns].astype(np.float32), reach[columns])
            for words, columns, reach in zip(self.words, used, reaches, strict=True)
        ]
        sizes = 2 * reaches + 1
        weights = np.cumprod(sizes[:, ::-1], axis=1)[:, ::-1] // sizes
        starts = np.cumsum([0, *map(len, found)])[:-1]
        parts = (
            np.where(used, self.columns, 0).T.ravel().astype(np.int64),
            reaches.T.ravel().astype(np.float32),
            weights.T.ravel().astype(np.float32),
            starts + (reaches * weights).sum(axis=1),
            np.concatenate(found),
        )
        return Lookup(*(torch.from_numpy(part).to(device) for part in parts))


@dataclass(frozen=True, slots=True)
class Lookup:
    """Finds the bytes of many rows at once, on one device.

    Attributes:
        columns: shape (group columns * groups,): the first column of each group, then the second of each, ….
        reach: their largest values; 0 where a group has fewer columns.
        weights: what a column's value counts in the number of its group's combination.
        zeros: shape (groups,): where the byte of each group's combination of zeros is.
        bytes: of all combinations of all groups.
    """

    columns: Tensor
    reach: Tensor
    weights: Tensor
    zeros: Tensor
    bytes: Tensor

    def encode(self, values: Tensor) -> Tensor:
        """Shape (rows, groups), uint8, from whole numbers for every column, (rows, columns), float32."""
        taken = values.index_select(1, self.columns)
        taken = taken.clamp_(-self.reach, self.reach).mul_(self.weights)
        combinations = taken.view(len(values), -1, len(self.zeros)).sum(dim=1).long()
        return self.bytes.take(combinations.add_(self.zeros))


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
