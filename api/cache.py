"""Answers, or parts of them, kept ready: the last ones that were asked for, in a bounded number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from api import metrics

Key = tuple[str, *tuple[Hashable, ...]]

_Value = TypeVar("_Value")

_LARGEST = 16
"""What would take more than this fraction of the room is not kept: it would push out too much."""


class Cache(Generic[_Value]):
    """Values by key; those that were not asked for the longest go first. Threads may share one.

    A key begins with the store's name, and has what tells this view of the store from others: its generation
    (`api.catalogue.ServedStore`) or a digest.

    Args:
        limit: bytes of all values together; 0 keeps nothing.
        size: how many bytes a value takes.
    """

    def __init__(self, limit: int, size: Callable[[_Value], int]) -> None:
        self._limit = limit
        self._size = size
        self._kept: OrderedDict[Hashable, _Value] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key, *, counted: bool = True) -> _Value | None:
        """The value, if it is kept; counted as a hit or a miss of the store, unless that says nothing."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if counted:
            (metrics.cache_miss if found is None else metrics.cache_hit)(key[0])
        return found

    def takes(self, size: int) -> bool:
        """Whether `put` would keep a value of so many bytes."""
        return size <= self._limit // _LARGEST

    def put(self, key: Key, value: _Value) -> None:
        """Keep a value, unless it is too large."""
        size = self._size(value)
        if not self.takes(size):
            return
        with self._lock:
            old = self._kept.pop(key, None)
            self._bytes += size - (0 if old is None else self._size(old))
            self._kept[key] = value
            while self._bytes > self._limit:
                self._bytes -= self._size(self._kept.popitem(last=False)[1])
