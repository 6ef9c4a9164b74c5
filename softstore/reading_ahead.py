"""Read what will be asked for next while the caller is busy with what it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 8
"""At most so many results wait in memory to be used."""


def read_ahead(
    function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int = AHEAD, first: int = 1
) -> Generator[R, None, None]:
    """``map(function, items)`` by threads, up to ``ahead`` items before they are asked for.

    It begins with ``first`` and looks twice as far each time, as operating systems do when they read ahead.
    """
    waiting = iter(items)
    pending: deque[Future[R]] = deque()
    depth = first
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                pending.extend(pool.submit(function, item) for item in islice(waiting, depth - len(pending)))
                if not pending:
                    return
                yield pending.popleft().result()
                depth = min(2 * depth, ahead)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
