"""Every request is seen: it gets an id, a line in the log, a place in the metrics, and perhaps a span."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import logs, metrics
from api.middleware.exchange import Exchange, route_of
from api.middleware.security import security_headers
from api.observer import Observer, request_id_of
from api.tracing import Tracing


class Observation:
    """The outermost layer but for the path's decoding. It adds ``X-Request-ID`` and the security headers.

    Args:
        tracing: None: no spans are made.
    """

    def __init__(self, app: ASGIApp, *, observer: Observer, tracing: Tracing | None = None) -> None:
        self.app = app
        self._observer = observer
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(request_id_of(scope["headers"]))
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
                    store = self._observer.store_of(scope)
                    self._tracing.answered(span, scope["method"], route_of(scope), exchange.status, store)
        finally:
            metrics.in_flight.dec()
            logs.request_id.reset(known)
            self._observer.note(scope, exchange)
