"""A storage that counts what is asked of it."""

from __future__ import annotations

from typing import Any, cast

from softstore.storage import Backend, Storage


class Counted:
    """The backend of a storage; each use of it is a request."""

    def __init__(self, storage: Storage) -> None:
        self._backend = storage.backend
        self.storage = Storage(storage.url, cast(Backend, self))
        self.requests = 0

    def __getattr__(self, name: str) -> Any:
        self.requests += 1
        return getattr(self._backend, name)
