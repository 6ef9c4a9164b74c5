"""The last few values that were made, so that memory stays bounded however many are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key; those that were not asked for the longest go first.

    Threads may share one. Those that ask for the same value at the same time each make it: rare, and cheaper
    than to let all wait. It travels to another process empty.

    Args:
        room: how many are kept.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Recent[K, V]], tuple[int]]:
        return Recent, (self._room,)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value that is kept, or else one that is made now; what ``make`` raises is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._room:
                self._values.popitem(last=False)
        return value
