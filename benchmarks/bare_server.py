"""The least a server can do: uvicorn sending bytes that are ready. ``/N`` answers with N of them."""

from __future__ import annotations

import os
import socket
from functools import cache

import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

PIECE_BYTES = 16 << 20
"""As the service sends large objects."""


async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    assert scope["type"] == "http"
    size = int(scope["path"][1:])
    headers = [(b"content-length", str(size).encode()), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    for piece, more in _pieces(size):
        await send({"type": "http.response.body", "body": piece, "more_body": more})


@cache
def _pieces(size: int) -> list[tuple[bytes, bool]]:
    """Ready bytes, and whether more follow."""
    # Not zeros: the kernel has those at hand.
    ready = [os.urandom(min(PIECE_BYTES, size - start)) for start in range(0, max(size, 1), PIECE_BYTES)]
    return [(piece, number + 1 < len(ready)) for number, piece in enumerate(ready)]


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="off", log_level="error", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
