"""A storage that is watched: what is read of it, and what happens if its writer dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from softstore.storage import Backend, Storage, open_storage

T = TypeVar("T")


class KilledError(Exception):
    """The process died."""


@dataclass
class Watched:
    """A storage backend that counts reads, and dies before or after its n-th write or deletion."""

    inner: Backend
    dies_at: int | None = None
    after: bool = False
    reads: list[str] = field(default_factory=list)
    writes: int = 0
    meanwhile: Callable[[str], None] = lambda path: None
    """Called with the path of each object that is read."""

    before_write: Callable[[int], None] = lambda number: None
    counting: threading.Lock = field(default_factory=threading.Lock)

    def get(self, path: str) -> bytes:
        self.reads.append(path)
        self.meanwhile(path)
        return self.inner.get(path)

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        self.reads.append(path)
        return self.inner.get_range(path, start, length)

    def size(self, path: str) -> int:
        return self.inner.size(path)

    def walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        return self.inner.walk(prefix)

    def children(self, prefix: str) -> list[str]:
        return self.inner.children(prefix)

    def put(self, path: str, data: bytes) -> None:
        self._change(lambda: self.inner.put(path, data))

    def create(self, path: str, data: bytes) -> bool:
        return self._change(lambda: self.inner.create(path, data))

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        return self._change(lambda: self.inner.exchange(path, before, after))

    def move(self, path: str, target: str) -> None:
        self._change(lambda: self.inner.move(path, target))

    def delete(self, path: str) -> None:
        self._change(lambda: self.inner.delete(path))

    def _change(self, change: Callable[[], T]) -> T:
        with self.counting:
            self.writes += 1
            number = self.writes
        dies = number == self.dies_at
        if (dies and not self.after) or (self.dies_at is not None and number > self.dies_at):
            raise KilledError
        self.before_write(number)
        changed = change()
        if dies:
            raise KilledError
        return changed


def watched(storage: Storage, **how: Any) -> tuple[Storage, Watched]:
    backend = Watched(storage.backend, **how)
    return Storage(storage.url, backend), backend


def clone(source: Storage, url: str | Path) -> Storage:
    """The same objects at an empty place."""
    target = open_storage(url, writable=True)
    for path, _ in source.walk():
        target.put(path, source.get(path))
    return target


def contents(storage: Storage) -> dict[str, bytes]:
    """All objects by path."""
    return {path: storage.get(path) for path, _ in storage.walk()}
