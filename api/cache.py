"""Answers, or parts of them, kept ready: the last ones that were asked for, in a bounded number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from api import metrics

Key = tuple[str, *tuple[Hashable, ...]]

_LARGEST = 16
"""What would take more than this fraction of the room is not kept: it would push out too much."""


class Cache:
    """Bytes by key; those that were not asked for the longest go first. Threads may share one.

    A key begins with the store's name and generation (`api.catalogue.ServedStore`): what another view of the
    store gave is never found again.

    Args:
        limit: bytes of all values together; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key, *, counted: bool = True) -> bytes | None:
        """The value, if it is kept; counted as a hit or a miss of the store, unless that says nothing."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if counted:
            (metrics.cache_miss if found is None else metrics.cache_hit)(key[0])
        return found

    def put(self, key: Key, value: bytes | memoryview) -> None:
        """Keep a copy of a value, unless it is too large."""
        if len(value) > self._limit // _LARGEST:
            return
        value = bytes(value)
        with self._lock:
            self._bytes += len(value) - len(self._kept.pop(key, b""))
            self._kept[key] = value
            while self._bytes > self._limit:
                self._bytes -= len(self._kept.popitem(last=False)[1])
