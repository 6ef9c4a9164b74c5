"""A real server on a free loopback port."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import httpx
import uvicorn
from starlette.types import ASGIApp

from api import create_app
from api.express_protocol import ExpressProtocol
from api.settings import ServiceSettings


@contextmanager
def running(app: ASGIApp) -> Iterator[httpx.Client]:
    """Run ``app`` in a thread as `softstore serve` does; yields a client of that server."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, http=ExpressProtocol, log_level="error", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def serving(
    stores: Mapping[str, str | os.PathLike[str]], settings: ServiceSettings | None = None
) -> AbstractContextManager[httpx.Client]:
    """Serve ``stores``, as `running` does."""
    return running(create_app(stores, settings))
