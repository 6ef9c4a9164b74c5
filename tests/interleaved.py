"""Several who use one storage at the same time, in an order that a seed decides and that can be had again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from softstore.storage import Backend, Storage

_HAND_OVER = 0.3
"""How often another one may go on. Some must make many steps while others make none."""


@dataclass
class Turns:
    """Lets one of them make one step at a time, once all the others wait for their next."""

    random: random.Random
    taking_part: set[int]
    waiting: set[int] = field(default_factory=set)
    turn: int | None = None
    latest: int = -1
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, who: int) -> None:
        """Until it is this one's turn for one more step."""
        with self.changed:
            self.waiting.add(who)
            self._next()
            self.changed.wait_for(lambda: self.turn == who)
            self.turn = None
            self.waiting.remove(who)

    def leave(self, who: int) -> None:
        with self.changed:
            self.taking_part.remove(who)
            self._next()

    def _next(self) -> None:
        if self.turn is None and self.waiting and self.waiting == self.taking_part:
            if self.latest not in self.waiting or self.random.random() < _HAND_OVER:
                self.latest = self.random.choice(sorted(self.waiting))
            self.turn = self.latest
            self.changed.notify_all()


@dataclass
class InTurns:
    """A storage backend each step of which waits for its turn."""

    inner: Backend
    turns: Turns
    who: int

    def get(self, path: str) -> bytes:
        self.turns.wait(self.who)
        return self.inner.get(path)

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        self.turns.wait(self.who)
        return self.inner.get_range(path, start, length)

    def size(self, path: str) -> int:
        self.turns.wait(self.who)
        return self.inner.size(path)

    def walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        self.turns.wait(self.who)
        return self.inner.walk(prefix)

    def children(self, prefix: str) -> list[str]:
        self.turns.wait(self.who)
        return self.inner.children(prefix)

    def put(self, path: str, data: bytes) -> None:
        self.turns.wait(self.who)
        self.inner.put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self.turns.wait(self.who)
        return self.inner.create(path, data)

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        self.turns.wait(self.who)
        return self.inner.exchange(path, before, after)

    def move(self, path: str, target: str) -> None:
        # As on S3, where others may come in between.
        self.turns.wait(self.who)
        self.inner.put(target, self.inner.get(path))
        self.turns.wait(self.who)
        self.inner.delete(path)

    def delete(self, path: str) -> None:
        self.turns.wait(self.who)
        self.inner.delete(path)


def interleave(storage: Storage, works: Sequence[Callable[[Storage], object]], seed: int) -> None:
    """Do all of this at the same time, step by step in an order drawn at random; raises what one raises."""
    turns = Turns(random.Random(seed), set(range(len(works))))
    failures: list[BaseException] = []

    def run(who: int) -> None:
        try:
            works[who](Storage(storage.url, InTurns(storage.backend, turns, who)))
        except BaseException as error:
            failures.append(error)
        finally:
            turns.leave(who)

    threads = [threading.Thread(target=run, args=(who,)) for who in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
