"""Utterances in memory, from when they are first asked for, or shortly before, until they are let go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from softstore.reading_ahead import read_ahead
from trainer.examples import RUNS_AHEAD, Example, Examples
from trainer.loading.utterances import Numbers, Utterances


class Reader:
    """Reads the wanted utterances, and no others, each once.

    Neighbours are read together, in the order of their runs' turns. Not more is in memory than was asked for
    and not let go, the runs up to there, and `RUNS_AHEAD` runs.

    Args:
        wanted: numbers of utterances, all different.
        turn: of the run that each is in, (wanted,).
        ahead: whether threads read ahead even what lies in local files. That keeps a processor busy, and a
            caller that works ahead of others itself would contend with them for the interpreter's lock.
    """

    def __init__(
        self,
        sources: Sequence[Examples],
        utterances: Utterances,
        wanted: Numbers,
        turn: Numbers,
        targets: bool,
        *,
        ahead: bool,
    ) -> None:
        order = np.lexsort((wanted, turn))
        numbers, turns = wanted[order], turn[order]
        apart = (np.diff(numbers) != 1) | (np.diff(turns) != 0)
        bounds = np.concatenate([[0], np.flatnonzero(apart) + 1, [len(numbers)]])
        self._held: dict[int, Example] = {}
        threads = max(examples.frames.read_threads for examples in sources)
        neighbours = (
            (int(numbers[begin]), int(numbers[end - 1]) + 1)
            for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
            if begin < end
        )
        # Not a method of this: reading ahead is to end with the last reference to the reader.
        read = partial(_read, sources, utterances, targets)
        self._reads: Iterator[dict[int, Example]] = map(read, neighbours)
        if ahead or threads > 1:
            self._reads = read_ahead(read, neighbours, threads, RUNS_AHEAD)

    def get(self, number: int) -> Example:
        """A wanted utterance."""
        while number not in self._held:
            self._held.update(next(self._reads))
        return self._held[number]

    def let_go(self, number: int) -> None:
        """It will not be asked for again."""
        del self._held[number]

    @property
    def held_frames(self) -> int:
        """Frames of the utterances in memory, without those that are being read ahead."""
        return sum(map(len, self._held.values()))


def _read(
    sources: Sequence[Examples], utterances: Utterances, targets: bool, neighbours: tuple[int, int]
) -> dict[int, Example]:
    start, stop = neighbours
    found = sources[int(utterances.source[start])].read(utterances.places(start, stop), targets=targets)
    return dict(zip(range(start, stop), found, strict=True))
