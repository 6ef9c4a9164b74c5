"""Utterances in memory, from when they are first asked for, or shortly before, until they are let go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from trainer.examples import Example, Examples
from trainer.fetching import fetch_ahead
from trainer.loading.utterances import Numbers, Utterances

Fetched = tuple[int, Callable[[], list[Example]]]
"""The first number of some neighbours, and what makes their examples."""


class Reader:
    """Reads the wanted utterances, and no others, each once; of remote stores, threads fetch them ahead.

    Neighbours are read together, in the order of their runs' turns. Not more is in memory than was asked for
    and not let go, the runs up to there, and the bytes of `RUNS_AHEAD` runs.

    Args:
        wanted: numbers of utterances, all different.
        turn: of the run that each is in, (wanted,).
    """

    def __init__(
        self,
        sources: Sequence[Examples],
        utterances: Utterances,
        wanted: Numbers,
        turn: Numbers,
        targets: bool,
    ) -> None:
        order = np.lexsort((wanted, turn))
        numbers, turns = wanted[order], turn[order]
        apart = (np.diff(numbers) != 1) | (np.diff(turns) != 0)
        bounds = np.concatenate([[0], np.flatnonzero(apart) + 1, [len(numbers)]])
        self._held: dict[int, Example] = {}
        remote = any(examples.frames.is_remote for examples in sources)
        neighbours = (
            (int(numbers[begin]), int(numbers[end - 1]) + 1)
            for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
            if begin < end
        )
        # Not a method of this: reading ahead is to end with the last reference to the reader.
        fetch = partial(_fetch, sources, utterances, targets)
        self._fetched = fetch_ahead(fetch, neighbours, remote=remote)

    def get(self, number: int) -> Example:
        """A wanted utterance."""
        while number not in self._held:
            first, made = next(self._fetched)
            self._held.update(enumerate(made(), first))
        return self._held[number]

    def let_go(self, number: int) -> None:
        """It will not be asked for again."""
        del self._held[number]

    @property
    def held_frames(self) -> int:
        """Frames of the utterances in memory, without those that are being read ahead."""
        return sum(map(len, self._held.values()))


def _fetch(
    sources: Sequence[Examples], utterances: Utterances, targets: bool, neighbours: tuple[int, int]
) -> Fetched:
    start, stop = neighbours
    examples = sources[int(utterances.source[start])]
    return start, examples.fetch(utterances.places(start, stop), targets=targets)
