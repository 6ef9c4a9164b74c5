"""Some of many utterances, in a bit each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Marks:
    """Which of ``size`` utterances are marked, by their number; none is at first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = np.zeros(-(-size // 8), np.uint8)

    def __len__(self) -> int:
        return self._size

    def add(self, numbers: NDArray[np.int64]) -> None:
        """Mark these, too."""
        np.bitwise_or.at(self._bytes, numbers >> 3, np.left_shift(1, numbers & 7).astype(np.uint8))

    def has(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of these is marked."""
        marked: NDArray[np.bool_] = (self._bytes[numbers >> 3] >> (numbers & 7)) & 1 != 0
        return marked

    def between(self, first: int, last: int) -> NDArray[np.int64]:
        """The marked ones among ``first`` … ``last - 1``, rising."""
        numbers = np.arange(first, last)
        return numbers[self.has(numbers)]
