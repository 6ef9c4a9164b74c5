"""What is kept of an answered request: its place in the metrics, and a line in the log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Container, Iterable
from itertools import count
from typing import Any

from starlette.types import Scope

from api import logs, metrics
from api.access import access_of
from api.middleware.exchange import Exchange, route_of

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})

_OURS, _numbers = secrets.token_hex(8), count()
"""Of an id: what is this process's, and what is the request's."""

CLIENT_LEFT = 499
"""Counted as the status where a client was gone before there was one."""


class Observer:
    """Args:
    stores: names that may stand as labels.
    access_log: None: no lines are written.
    """

    def __init__(self, stores: Container[str], access_log: logs.AccessLog | None = None) -> None:
        self._stores = stores
        self._access_log = access_log

    def store_of(self, scope: Scope) -> str:
        """The served store that a request was for; empty if there is none."""
        name = scope.get("path_params", {}).get("store", "")
        return name if name in self._stores else ""

    def note(self, scope: Scope, exchange: Exchange) -> None:
        """A request is over, one way or another."""
        seconds = time.perf_counter() - exchange.begun
        route, store = route_of(scope), self.store_of(scope)
        method, status = scope["method"], exchange.status or CLIENT_LEFT
        method_label = method if method in _METHODS else "other"
        metrics.request_answered(method_label, route, status, store, exchange.sent_bytes, seconds)
        if exchange.corrupt:
            metrics.corrupt_answer(store)
        if self._access_log is None:
            return
        client = scope.get("client")
        fields: dict[str, Any] = {
            "time": time.time(),
            "level": "error" if status >= 500 else "info",
            "request_id": exchange.request_id,
            "method": method,
            "route": route,
            "path": scope["path"],
            "status": status,
            "bytes": exchange.sent_bytes,
            "seconds": seconds,
            "client": client[0] if client else "",
        }
        token = access_of(scope).name
        if token:
            fields["token"] = token
        if not exchange.finished:
            fields["unfinished"] = True
        self._access_log.write(fields)


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's, if it is sane, or one of ours."""
    for name, value in headers:
        if name == b"x-request-id":
            if _SANE_ID.fullmatch(value):
                return value.decode()
            break
    return f"{_OURS}{next(_numbers):016x}"
