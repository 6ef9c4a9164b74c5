"""Bodies of requests: whole before a route sees them, and never larger than the limit."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware.exchange import exchange_of
from api.problems import LIMIT_EXCEEDED, ProblemError

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Bodies:
    """Reads a body before anything is reserved for its request, so that slow clients hold up nobody."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        exchange.reading = True
        body = await self._read(scope, receive)
        exchange.reading = False
        if body is None:
            return
        ready: Message | None = {"type": "http.request", "body": body, "more_body": False}

        async def read() -> Message:
            nonlocal ready
            message, ready = ready, None
            return message or await receive()

        await self.app(scope, read, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """None if the client left."""
        for name, value in scope["headers"]:
            # Of another server it may be no number; what comes is counted anyway.
            if name == b"content-length" and value.isdigit() and int(value[:18]) > self._limit:
                raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._limit:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(pieces)

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413,
            LIMIT_EXCEEDED,
            f"The body of a request has at most {self._limit} bytes: ask for less at a time.",
            limit=self._limit,
            headers={"Connection": "close"},
        )
