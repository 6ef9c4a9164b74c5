"""In what order an epoch reads its utterances: a pure function of (seed, epoch) and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.loading.utterances import Numbers, Utterances

WINDOW_RUNS = 16
"""Utterances of so many runs are shuffled among each other."""


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """The order of an epoch.

    Attributes:
        utterance: their numbers, in order.
        window: of each, in the same order: rising.
        turn: of each run, by its number: runs are read by rising turn.
    """

    utterance: Numbers
    window: Numbers
    turn: Numbers


def shuffle(utterances: Utterances, seed: int, epoch: int, window_runs: int = WINDOW_RUNS) -> Order:
    """Runs of all stores are shuffled, then utterances within each window of runs.

    So neighbours are read together and yet seldom come together, and memory holds a window at a time.
    """
    generator = np.random.default_rng([seed, epoch])
    turn = generator.permutation(utterances.runs)
    shuffled = generator.permutation(len(utterances))
    window = turn[utterances.run[shuffled]] // window_runs
    by_window = np.argsort(window, kind="stable")
    return Order(shuffled[by_window], window[by_window], turn)
