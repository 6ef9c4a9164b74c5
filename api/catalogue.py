"""The stores being served, those named and those below the root, each looked at again as it grows."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

import softstore
from api.access import access_of
from api.discovery import Root
from api.names import check_name
from api.paths import StoreName
from softstore import Store
from softstore.errors import NotFoundError, SoftstoreError, StorageError
from softstore.frames import Frames
from softstore.parts import read_attributes

REFRESH_SECONDS = 1.0
"""How old the view of a store may be before the next request looks again …"""

ROOT_SECONDS = 3.0
"""… and the view of the root, before a listing or an unknown name looks again …"""

LOOKING_SHARE = 0.05
"""… unless looking would then take more than this share of the time: a store may have thousands of shards."""

_generations = itertools.count()
_log = logging.getLogger(__name__)


class ServedStore:
    """One store under a name, opened when it is first read. Safe to use from any thread.

    Attributes:
        generation: another one for every view of every store there ever was. Read before the store, it dates
            what is made from that.
    """

    def __init__(self, name: str, url: str | os.PathLike[str]) -> None:
        self.name = name
        self.generation = next(_generations)
        self._url = os.fspath(url)
        self._store: Store | None = None
        self._problem: SoftstoreError | None = None
        self._next_look = 0.0
        self._looking = threading.Lock()

    @property
    def url(self) -> str:
        return self._url

    @property
    def broken(self) -> bool:
        """Whether it was never opened because of what it is, be the storage as well as it may."""
        return self._store is None and not isinstance(self._problem, StorageError | None)

    def current(self) -> Store:
        """The store as published about `REFRESH_SECONDS` ago or later.

        One request pays for the look; the others go on with what was there.

        Raises:
            SoftstoreError: it does not open, now or a moment ago; see `softstore.open`.
        """
        if self._store is None:
            return self._open()
        if time.monotonic() > self._next_look and self._looking.acquire(blocking=False):
            started = time.monotonic()
            try:
                self._refresh(self._store)
            except SoftstoreError as error:
                _log.warning("Store %s is served as it was: %s", self.name, error)
            finally:
                self._next_look = _next_look(started, REFRESH_SECONDS)
                self._looking.release()
        return self._store

    def at_hand(self) -> Store | None:
        """What `current` gives, unless it would look or open first: for those who must not wait."""
        due = time.monotonic() > self._next_look and not self._looking.locked()
        return None if due else self._store

    def _open(self) -> Store:
        with self._looking:
            if self._store is None and time.monotonic() > self._next_look:
                started = time.monotonic()
                try:
                    self._show(softstore.open(self._url))
                except SoftstoreError as error:
                    self._problem = error
                finally:
                    self._next_look = _next_look(started, REFRESH_SECONDS)
            if self._store is None:
                assert self._problem is not None
                raise self._problem.with_traceback(None)
            return self._store

    def _refresh(self, store: Store) -> None:
        frames = store.frames
        attributes = read_attributes(frames.storage)
        if attributes == frames.attributes and is_complete(store):
            return
        fresh = Store(Frames(frames.storage))
        # Read here, so that nobody waits for it later.
        len(fresh)
        self._show(fresh)

    def _show(self, store: Store) -> None:
        self._store = store
        self._url = store.url
        self.generation = next(_generations)


class Catalogue(Mapping[str, ServedStore]):
    """Served stores by name; a store that was named goes before one below the root.

    Named stores are opened now, those below the root when they are first read.

    Raises:
        InvalidInputError: a name that cannot stand in a URL, or a root that is a store itself.
        SoftstoreError: a named store does not open, see `softstore.open`, or the root cannot be read.
    """

    def __init__(self, stores: Mapping[str, str | os.PathLike[str]], root: str | None = None) -> None:
        self._named = {check_name(name): ServedStore(name, url) for name, url in stores.items()}
        for served in self._named.values():
            served.current()
        self._stores: Mapping[str, ServedStore] = self._named
        self._root = Root(root) if root else None
        self._next_look = 0.0
        self._looking = threading.Lock()
        if self._root is not None:
            self._take(self._root.look())

    def __getitem__(self, name: str) -> ServedStore:
        return self._stores[name]

    def __contains__(self, name: object) -> bool:
        return name in self._stores

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    @property
    def due(self) -> bool:
        """Whether `look` would look."""
        return self._root is not None and time.monotonic() > self._next_look

    def look(self) -> None:
        """See which stores are below the root, unless that was just done or is being done."""
        if self._root is None or not self.due or not self._looking.acquire(blocking=False):
            return
        started = time.monotonic()
        try:
            self._take(self._root.look())
        except SoftstoreError as error:
            _log.warning("Stores below the root are served as they were: %s", error)
        finally:
            self._next_look = _next_look(started, ROOT_SECONDS)
            self._looking.release()

    def _take(self, found: Mapping[str, str]) -> None:
        below = {name: self._stores.get(name) or ServedStore(name, url) for name, url in found.items()}
        self._stores = {**below, **self._named}

    def without_urls(self, message: str) -> str:
        """``message`` with names instead of the places where stores lie, which clients need not know."""
        for served in sorted(self.values(), key=lambda served: len(served.url), reverse=True):
            message = message.replace(served.url, f"store {served.name}")
        return message


def _next_look(started: float, seconds: float) -> float:
    now = time.monotonic()
    return now + max(seconds, (now - started) / LOOKING_SHARE)


def is_complete(store: Store) -> bool:
    """Whether a finished run published everything there is room for."""
    complete = store.attributes.complete
    return complete is not None and complete.shards == store.attributes.shards


def catalogue(request: Request) -> Catalogue:
    """All stores of the application that answers ``request``, whoever asks."""
    found: Catalogue = request.app.state.catalogue
    return found


def readable_stores(request: Request) -> list[ServedStore]:
    """The stores that there are, now, for whoever asks."""
    stores, access = catalogue(request), access_of(request.scope)
    stores.look()
    return [served for name, served in stores.items() if access.reads(name)]


def store_at_hand(scope: Scope) -> tuple[ServedStore, Store] | None:
    """The store that the path of a request names, if it is there for whoever asks without waiting."""
    name = scope["path_params"]["store"]
    catalogue: Catalogue = scope["app"].state.catalogue
    served = catalogue.get(name)
    store = None if served is None else served.at_hand()
    if served is None or store is None or not access_of(scope).reads(name):
        return None
    return served, store


async def find_store(request: Request, store: StoreName) -> ServedStore:
    """The store of this name, if it is there for whoever asks.

    Raises:
        NotFoundError: it is not; the same whether there is none or the token does not open it.
    """
    stores = catalogue(request)
    served = stores.get(store)
    if served is None and stores.due:
        await run_in_threadpool(stores.look)
        served = stores.get(store)
    if served is None or not access_of(request.scope).reads(store):
        raise NotFoundError(f"There is no store {store!r}; /v1/stores lists what there is.")
    return served


Served = Annotated[ServedStore, Depends(find_store)]
"""The store that the path names."""
