"""HTTP/1.1 as uvicorn and httptools speak it, with limits they lack: on heads, and on idle clients."""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.limits import HEAD_BYTES, HEAD_SECONDS, TAKING_SECONDS

_PROBLEM = (
    b'{"type":"about:blank","title":"Request Header Fields Too Large","status":431,"detail":"The URL and the '
    b'headers of a request have at most %d bytes together.","code":"limit_exceeded","limit":%d}'
) % (HEAD_BYTES, HEAD_BYTES)

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
) % (len(_PROBLEM), _PROBLEM)


class BoundedProtocol(HttpToolsProtocol):
    """For uvicorn: ``http=BoundedProtocol``. Who sends a head too slowly, or takes nothing, is hung up on.

    Bytes are counted as they arrive, for the parser keeps a header to itself until it is whole; so what comes
    in one piece with a head's end is always taken.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._awaits_head = True
        self._is_refused = False
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._taking_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting_for_head()
        self._stop_watching()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._awaits_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.head_came()
        super().on_headers_complete()

    def head_came(self) -> None:
        """A head is whole: from now on the layers watch over its request."""
        self._awaits_head = False
        self._stop_waiting_for_head()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if not self._awaits_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        if self._head_bytes > HEAD_BYTES:
            # In the middle of another answer, this one would be taken for a part of it.
            if self.cycle is None or self.cycle.response_complete:
                self._refuse()
            else:
                self.transport.close()

    def _refuse(self) -> None:
        """Answer, and drop what still comes until the head's time is over: who is hung up on while sending
        may never read the answer."""
        self._is_refused = True
        self.transport.write(_TOO_LARGE)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

    def _watch(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._taking_timer = self.loop.call_later(TAKING_SECONDS, self._hang_up_if, left)

    def _hang_up_if(self, left: int) -> None:
        """Unless the client took something, however little. To close would be to wait for it again."""
        if self.transport.get_write_buffer_size() == left:
            self.transport.abort()
        else:
            self._watch()

    def _stop_watching(self) -> None:
        if self._taking_timer is not None:
            self._taking_timer.cancel()
            self._taking_timer = None

    def _stop_waiting_for_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
