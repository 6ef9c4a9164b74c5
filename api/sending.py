"""Long answers, a piece at a time: no faster than the client takes them, and no longer than it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.types import Message, Receive, Send

Headers = Sequence[tuple[bytes, bytes]]


def head(status: int, headers: Headers) -> Message:
    """The message that begins an answer."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def lines(headers: Headers) -> bytes:
    """Headers as they are sent."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """An answer that is ready."""
    await send(head(status, [*headers, (b"content-length", b"%d" % len(body))]))
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Receive) -> bytes:
    """A request's body, which is whole: see `api.middleware.bodies`."""
    body: bytes = (await receive()).get("body", b"")
    return body


async def send_pieces(
    receive: Receive, send: Send, status: int, headers: Headers, pieces: AsyncIterator[bytes | memoryview]
) -> None:
    """An answer of at least one piece, each made once the client has taken most of the one before.

    What fails is raised. After the first piece that leaves the answer unfinished: the server closes the
    connection, which no client takes for the end of an answer.
    """
    first = await anext(pieces)
    await send(head(status, headers))
    await send({"type": "http.response.body", "body": first, "more_body": True})
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        async for piece in pieces:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
