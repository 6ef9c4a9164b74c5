"""The stores being served, each opened once and looked at again as it grows."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

from fastapi import Depends, Request

import softstore
from api.paths import StoreName
from softstore import Store
from softstore.errors import InvalidInputError, NotFoundError, SoftstoreError
from softstore.frames import Frames
from softstore.parts import read_attributes

REFRESH_SECONDS = 1.0
"""How old the view of a store may be before the next request looks again …"""

LOOKING_SHARE = 0.05
"""… unless looking would then take more than this share of the time: a store may have thousands of shards."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_log = logging.getLogger(__name__)


class ServedStore:
    """One store under a name. Safe to use from any thread."""

    def __init__(self, name: str, url: str | os.PathLike[str]) -> None:
        self.name = name
        self._store = softstore.open(url)
        self._next_look = time.monotonic() + REFRESH_SECONDS
        self._looking = threading.Lock()

    @property
    def url(self) -> str:
        return self._store.url

    def current(self) -> Store:
        """The store as published about `REFRESH_SECONDS` ago or later.

        One request pays for the look; the others go on with what was there.
        """
        started = time.monotonic()
        if started > self._next_look and self._looking.acquire(blocking=False):
            try:
                self._refresh()
            except SoftstoreError as error:
                _log.warning("Store %s is served as it was: %s", self.name, error)
            finally:
                now = time.monotonic()
                self._next_look = now + max(REFRESH_SECONDS, (now - started) / LOOKING_SHARE)
                self._looking.release()
        return self._store

    def _refresh(self) -> None:
        frames = self._store.frames
        attributes = read_attributes(frames.storage)
        if attributes == frames.attributes and is_complete(self._store):
            return
        fresh = Store(Frames(frames.storage))
        # Read here, so that nobody waits for it later.
        _ = fresh.manifest
        self._store = fresh


class Catalogue(Mapping[str, ServedStore]):
    """Served stores by name.

    Raises:
        InvalidInputError: a name that cannot stand in a URL.
        SoftstoreError: a store does not open; see `softstore.open`.
    """

    def __init__(self, stores: Mapping[str, str | os.PathLike[str]]) -> None:
        for name in stores:
            check_name(name)
        self._stores = {name: ServedStore(name, url) for name, url in stores.items()}

    def __getitem__(self, name: str) -> ServedStore:
        return self._stores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    def without_urls(self, message: str) -> str:
        """``message`` with names instead of the places where stores lie, which clients need not know."""
        for served in sorted(self.values(), key=lambda served: len(served.url), reverse=True):
            message = message.replace(served.url, f"store {served.name}")
        return message


def check_name(name: str) -> str:
    """``name`` itself.

    Raises:
        InvalidInputError: it cannot stand in a URL as it is.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"A store cannot be served as {name!r}: names have up to 64 letters, digits, '.', '_' and '-'."
        )
    return name


def is_complete(store: Store) -> bool:
    """Whether a finished run published everything there is room for."""
    complete = store.attributes.complete
    return complete is not None and complete.shards == store.attributes.shards


def catalogue(request: Request) -> Catalogue:
    """The catalogue of the application that answers ``request``."""
    found: Catalogue = request.app.state.catalogue
    return found


async def _find_store(request: Request, store: StoreName) -> ServedStore:
    served = catalogue(request).get(store)
    if served is None:
        raise NotFoundError(f"There is no store {store!r}; /v1/stores lists what there is.")
    return served


Served = Annotated[ServedStore, Depends(_find_store)]
"""The store that the path names."""
