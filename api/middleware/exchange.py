"""One request and its answer, as the layers see them."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import Scope

_KEY = "softstore.exchange"


class Exchange:
    """What becomes of a request; `Observation` begins it, other layers read and add.

    Attributes:
        request_id: the client's, or one of ours.
        status: of the answer; 0 until it begins.
        sent_bytes: of its body, as sent.
        finished: whether all of it was handed over.
        corrupt: damaged bytes made the answer impossible.
        reading: the body is still coming.
        begun: when the request came, in `time.perf_counter` seconds.
        expired: the answer did not begin in time.
    """

    __slots__ = (
        "begun",
        "corrupt",
        "expired",
        "finished",
        "reading",
        "request_id",
        "sent_bytes",
        "status",
    )

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.status = 0
        self.sent_bytes = 0
        self.finished = False
        self.corrupt = False
        self.reading = False
        self.expired = False
        self.begun = time.perf_counter()

    def attach(self, scope: Scope) -> None:
        scope[_KEY] = self


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that a request belongs to."""
    found: Exchange = scope[_KEY]
    return found


def route_of(scope: Scope) -> str:
    """The template of the route that answered, or ``unmatched``; known once the answer is."""
    route: Any = scope.get("route")
    return getattr(route, "path", "unmatched")
