"""HTTP/1.1 with answers that are ready (`api.express`) written at once, without a task for each."""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.express import STATE, Express
from api.protocol import BoundedProtocol
from api.sending import lines

_LEFT_TO_LAYERS = frozenset({b"expect", b"origin", b"transfer-encoding"})
"""Headers of requests that are never answered at once."""

_BODY_BYTES = 65_536
"""Longer bodies, too, are left to them …"""

_BODY_SECONDS = 0.05
"""… and those that are not there by then."""


class ExpressProtocol(BoundedProtocol):
    """For uvicorn: ``http=ExpressProtocol``. What is not ready, or comes in pieces, goes on as it does there.

    A small body is held for a moment until it is whole: many clients send it in a packet of its own.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._express: Express | None = self.app_state.get(STATE)
        self._held_body: bytes | None = None
        self._letting_go: TimerHandle | None = None
        self._is_answered = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held_body is not None and self._letting_go is None:
            # If the rest takes its time, that is for the layers to watch.
            self._letting_go = self.loop.call_later(_BODY_SECONDS, self._let_go_of_body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_holding()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_answered = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self._may_be_ready():
            super().on_headers_complete()
            return
        self.head_came()
        self._held_body = b""
        if self.parser.get_method() == b"GET":
            self._try_at_once()

    def on_body(self, body: bytes) -> None:
        if self._held_body is None:
            super().on_body(body)
        else:
            self._held_body += body

    def on_message_complete(self) -> None:
        if self._held_body is not None:
            self._try_at_once()
        if not self._is_answered:
            super().on_message_complete()

    def _may_be_ready(self) -> bool:
        """Whether this may be answered before anything else is known of it."""
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        return (
            self._express is not None
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and headers.keys().isdisjoint(_LEFT_TO_LAYERS)
            and self.parser.get_method() == (b"POST" if length else b"GET")
            and int(length or 0) <= _BODY_BYTES
        )

    def _try_at_once(self) -> None:
        self._is_answered = self._answer(self._held_body or b"")
        self._let_go_of_body()

    def _answer(self, body: bytes) -> bool:
        assert self._express is not None
        if not self.url.isascii() or b"?" in self.url:
            return False
        scope = cast(dict[str, Any], self.scope)
        scope["method"], scope["path"] = self.parser.get_method().decode(), self.url.decode()
        found = self._express.answer(scope, body)
        if found is None:
            return False
        status, head, body = found
        common = lines(self.server_state.default_headers)
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n\r\n" % (STATUS_LINE[status], common, head, len(body))
        )
        self.transport.write(body)
        self.on_response_complete()
        return True

    def _let_go_of_body(self) -> None:
        """Go on as uvicorn does, if it was not answered."""
        body = self._stop_holding()
        if not self._is_answered:
            super().on_headers_complete()
            if body:
                super().on_body(body)

    def _stop_holding(self) -> bytes | None:
        if self._letting_go is not None:
            self._letting_go.cancel()
            self._letting_go = None
        body, self._held_body = self._held_body, None
        return body
