"""Every request is seen: it gets an id, a line in the log, a place in the metrics, and perhaps a span."""

from __future__ import annotations

import re
import time
from collections.abc import Container
from random import getrandbits
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import logs, metrics
from api.access import access_of
from api.middleware.exchange import Exchange, route_of
from api.middleware.security import security_headers
from api.tracing import Tracing

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})

CLIENT_LEFT = 499
"""Counted as the status where a client was gone before there was one."""


class Observation:
    """The outermost layer but for the path's decoding. It adds ``X-Request-ID`` and the security headers.

    Args:
        stores: names that may stand as labels.
        access_log: None: no lines are written.
        tracing: None: no spans are made.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        stores: Container[str],
        access_log: logs.AccessLog | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.app = app
        self._stores = stores
        self._access_log = access_log
        self._tracing = tracing
        self._requests = metrics.Requests()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(_request_id(scope["headers"]))
        exchange.attach(scope)
        id_header = (b"x-request-id", exchange.request_id.encode())
        head = scope["method"] == "HEAD"

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = message.get("headers", ())
                message["headers"] = [*headers, id_header, *security_headers(headers)]
                await send(message)
                return
            await send(message)
            if not head:
                exchange.sent_bytes += len(message.get("body", b""))
            exchange.finished = not message.get("more_body", False)

        known = logs.request_id.set(exchange.request_id)
        metrics.in_flight.inc()
        try:
            if self._tracing is None:
                await self.app(scope, receive, observed)
            else:
                with self._tracing.span(scope) as span:
                    await self.app(scope, receive, observed)
                    self._tracing.answered(
                        span, scope["method"], route_of(scope), exchange.status, self._store(scope)
                    )
        finally:
            seconds = time.perf_counter() - exchange.begun
            metrics.in_flight.dec()
            logs.request_id.reset(known)
            self._note(scope, exchange, seconds)

    def _note(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        route, store = route_of(scope), self._store(scope)
        method, status = scope["method"], exchange.status or CLIENT_LEFT
        self._requests.answered(
            method if method in _METHODS else "other", route, status, store, exchange.sent_bytes, seconds
        )
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

    def _store(self, scope: Scope) -> str:
        name = scope.get("path_params", {}).get("store", "")
        return name if name in self._stores else ""


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id":
            if _SANE_ID.fullmatch(value):
                return value.decode()
            break
    return f"{getrandbits(128):032x}"
