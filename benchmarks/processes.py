"""Measure in a process that has done nothing else, so that neither caches nor memory are those of before."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def fresh(measure: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """What a process that has done nothing else measures, and the most memory it had."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, measure, *arguments).result()


class Apart:
    """An object in a process of its own, which stays; close it.

    Args:
        make: makes it there.
        arguments: of ``make``.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._pool.submit(_make, make, *arguments).result()

    def measured(self, measure: Callable[[Any], dict[str, float]]) -> dict[str, float]:
        """What ``measure`` finds of the object, there, and the most memory that process had."""
        return self._pool.submit(_measure, measure).result()

    def close(self) -> None:
        self._pool.shutdown()


_apart: list[Any] = []


def _make(make: Callable[..., Any], *arguments: Any) -> None:
    _apart.append(make(*arguments))


def _measure(measure: Callable[[Any], dict[str, float]]) -> dict[str, float]:
    return measured(measure, _apart[0])


def measured(measure: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """The same in this process, for which `fresh` is too slow."""
    found = measure(*arguments)
    return found | {"memory MB": peak_bytes() / 1e6}


def peak_bytes() -> float:
    """The most memory this process had since it began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def timed(call: Callable[[Any], object], arguments: Sequence[Any]) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for argument in arguments:
        started = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - started)
    return seconds
