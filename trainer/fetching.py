"""Bytes fetched before they are asked for, where they come from far away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from softstore.reading_ahead import read_ahead

RUNS_AHEAD = 16
"""At most so many runs are fetched before they are asked for."""

T = TypeVar("T")
R = TypeVar("R")


def fetch_ahead(fetch: Callable[[T], R], runs: Iterable[T], *, remote: bool) -> Iterator[R]:
    """``map(fetch, runs)``; of remote storages, threads wait for the next ones, for all of them at once.

    Local files are in the page cache or come from a disk that reads ahead itself: a thread would cost more.
    """
    if not remote:
        return map(fetch, runs)
    return read_ahead(fetch, runs, threads=RUNS_AHEAD, ahead=RUNS_AHEAD, first=RUNS_AHEAD)
