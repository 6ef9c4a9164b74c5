"""Who asks, and which stores are there for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from starlette.types import Scope

_KEY = "softstore.access"


@dataclass(frozen=True, slots=True)
class Access:
    """What a token opens.

    Attributes:
        name: of the token.
        stores: names of stores, or patterns with ``*`` and ``?``.
        expires: until when; None: without an end.
    """

    name: str
    stores: tuple[str, ...]
    expires: datetime | None = None

    @property
    def expired(self) -> bool:
        return self.expires is not None and self.expires <= datetime.now(UTC)

    @property
    def reads_all(self) -> bool:
        return "*" in self.stores

    def reads(self, store: str) -> bool:
        """Whether a store of this name may be read."""
        return self.reads_all or any(fnmatchcase(store, pattern) for pattern in self.stores)

    def attach(self, scope: Scope) -> None:
        scope[_KEY] = self


ALL = Access("", ("*",))
"""Of everybody, where no tokens are asked for."""

NONE = Access("", ())
"""Of somebody without a token, where tokens are asked for."""


def access_of(scope: Scope) -> Access:
    """What may be read by whoever sent a request."""
    found: Access = scope.get(_KEY, ALL)
    return found
