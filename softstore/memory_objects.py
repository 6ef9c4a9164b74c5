"""Objects in a dictionary, for tests and for trying things out."""

from __future__ import annotations

import threading
from collections.abc import Iterator


class MemoryObjects:
    """Raises FileNotFoundError where there is no object."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> bytes:
        try:
            return self._objects[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        return memoryview(self.get(path))[start : start + length]

    def size(self, path: str) -> int:
        return len(self.get(path))

    def put(self, path: str, data: bytes) -> None:
        with self._lock:
            self._objects[path] = bytes(data)

    def create(self, path: str, data: bytes) -> bool:
        with self._lock:
            if path in self._objects:
                return False
            self._objects[path] = bytes(data)
            return True

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        with self._lock:
            if self._objects.get(path) != before:
                return False
            self._objects[path] = bytes(after)
            return True

    def move(self, path: str, target: str) -> None:
        with self._lock:
            try:
                self._objects[target] = self._objects.pop(path)
            except KeyError:
                raise FileNotFoundError(path) from None

    def delete(self, path: str) -> None:
        with self._lock:
            self._objects.pop(path, None)

    def walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        below = f"{prefix}/" if prefix else ""
        with self._lock:
            sizes = {path: len(data) for path, data in self._objects.items() if path.startswith(below)}
        yield from sorted(sizes.items())

    def children(self, prefix: str) -> list[str]:
        begin = len(prefix) + 1 if prefix else 0
        heads = (path[begin:].partition("/")[:2] for path, _ in self.walk(prefix))
        return list({name + slash for name, slash in heads})
