"""Content encoding (RFC 9110, section 8.4) of text and JSON: zstd or gzip, as the client prefers.

Arrays and store objects travel as they are: what is in them is dense or compressed already, and ranges are
ranges of their own bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from zstandard import COMPRESSOBJ_FLUSH_BLOCK, ZstdCompressor

_SMALLEST = 1024
"""Bytes below which the headers cost more than is gained."""

_AT_ONCE = 32 * 1024
"""Bytes that are compressed where they are; more go to a thread, so that others are not held up."""

_TEXT = (
    b"application/json",
    b"application/problem+json",
    b"text/",
    b"image/svg+xml",
    b"application/javascript",
)

Headers = list[tuple[bytes, bytes]]


class _Encoder(Protocol):
    """Takes a body in pieces; what it gives may be decoded up to there."""

    def piece(self, data: bytes) -> bytes: ...

    def last(self, data: bytes) -> bytes: ...


class _Zstd:
    def __init__(self) -> None:
        self._stream = ZstdCompressor(3).compressobj()

    def piece(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(COMPRESSOBJ_FLUSH_BLOCK)

    def last(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush()


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(4, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def piece(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def last(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush()


_ENCODERS: dict[str, Callable[[], _Encoder]] = {"zstd": _Zstd, "gzip": _Gzip}
"""By name of the coding, the best first."""


class Compression:
    """Encodes answers of text, large enough, to GET and POST, that are not encoded or partial already."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        encoder: _Encoder | None = None

        async def encoded(message: Message) -> None:
            nonlocal start, encoder
            if message["type"] == "http.response.start":
                if _is_text(message):
                    start = message
                else:
                    await send(message)
                return
            if start is not None:
                begun, start = start, None
                coding = _chosen(scope) if scope["method"] != "HEAD" and _is_large(message) else None
                _vary(begun)
                if coding is not None:
                    encoder = _ENCODERS[coding]()
                    message = await _encode(encoder, message)
                    _describe(begun, coding, None if message["more_body"] else len(message["body"]))
                await send(begun)
            elif encoder is not None:
                message = await _encode(encoder, message)
            await send(message)

        await self.app(scope, receive, encoded)


def _is_text(start: Message) -> bool:
    text = False
    for name, value in start["headers"]:
        if name == b"content-type":
            text = value.startswith(_TEXT)
        elif name in (b"content-encoding", b"accept-ranges", b"content-range"):
            return False
    return text


def _is_large(first: Message) -> bool:
    return bool(first.get("more_body", False)) or len(first.get("body", b"")) >= _SMALLEST


async def _encode(encoder: _Encoder, message: Message) -> Message:
    data, more = message.get("body", b""), message.get("more_body", False)
    encode = encoder.piece if more else encoder.last
    body = encode(data) if len(data) <= _AT_ONCE else await run_in_threadpool(encode, data)
    return {"type": "http.response.body", "body": body, "more_body": more}


def _vary(start: Message) -> None:
    """Say that the answer hangs on Accept-Encoding, whether or not it was encoded this time."""
    headers: Headers = list(start["headers"])
    varies = b", ".join(value for name, value in headers if name == b"vary")
    headers = [header for header in headers if header[0] != b"vary"]
    start["headers"] = [*headers, (b"vary", varies + b", Accept-Encoding" if varies else b"Accept-Encoding")]


def _describe(start: Message, coding: str, length: int | None) -> None:
    """Change the headers to those of the encoded body; its length is unknown while it streams."""
    headers: Headers = []
    for name, value in start["headers"]:
        if name == b"etag" and not value.startswith(b"W/"):
            # The same answer, but not the same bytes as without the coding.
            headers.append((name, b"W/" + value))
        elif name != b"content-length":
            headers.append((name, value))
    headers.append((b"content-encoding", coding.encode()))
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    start["headers"] = headers


def _chosen(scope: Scope) -> str | None:
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    return _preferred(accepted[:500].decode("latin-1")) if accepted else None


@lru_cache(256)
def _preferred(accepted: str) -> str | None:
    """The coding to use (RFC 9110, section 12.5.3); None: none."""
    qualities: dict[str, float] = {}
    for item in accepted.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        text = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            qualities[coding] = float(text)
        except ValueError:
            continue
    # A client that says nothing of a coding does not take it; identity it takes, if nothing better is there.
    anything = qualities.get("*", 0.0)
    best = max(_ENCODERS, key=lambda coding: qualities.get(coding, anything))
    quality = qualities.get(best, anything)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None
