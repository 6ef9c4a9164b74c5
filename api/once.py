"""What is worked out once for each view of a store, and forgotten with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from softstore import Store

T = TypeVar("T")


class Once(Generic[T]):
    """``make`` as a function that remembers; threads that ask meanwhile wait, what fails is tried again.

    Args:
        make: what it gives must not hold the store.
    """

    def __init__(self, make: Callable[[Store], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[Store, Future[T]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def __call__(self, store: Store) -> T:
        with self._lock:
            future = self._made.get(store)
            if future is not None:
                mine = False
            else:
                mine = True
                future = self._made[store] = Future()
        if mine:
            try:
                future.set_result(self._make(store))
            except BaseException as error:
                with self._lock:
                    del self._made[store]
                future.set_exception(error)
        return future.result()
