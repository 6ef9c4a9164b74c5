"""``softstore serve``."""

from __future__ import annotations

import signal
import socket
from types import FrameType
from typing import Annotated
from urllib.parse import urlsplit

import typer

from softstore.errors import InvalidInputError, MissingDependencyError

GRACE_SECONDS = 10
"""How long answers under way may take to finish after a signal to stop."""


def serve(
    stores: Annotated[
        list[str],
        typer.Argument(
            metavar="STORE",
            help="Path or URL of a store, or NAME=PATH_OR_URL; the name is else the last path segment.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve stores over HTTP: posteriors at any temperature, and the stores themselves.

    Prints where each store is found, then runs until SIGINT or SIGTERM. There is no access control: whoever
    reaches the port reads the stores.

    Examples:

        softstore serve runs/demo/store

        softstore serve demo=runs/demo/store big=s3://bucket/aurora4 --port 0
    """
    try:
        import uvicorn

        from api.app import create_app
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"The service needs {error.name}, which is not installed: pip install 'softstore[api]'."
        ) from error
    named = named_stores(stores)
    app = create_app(named)
    listener = _listen(host, port)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn sends itself the signal again once it has shut down: to stop was all that was asked.
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    for name in named:
        print(f"Serving {name} at {_origin(listener)}/v1/stores/{name}", flush=True)
    with listener:
        server.run(sockets=[listener])


def named_stores(arguments: list[str]) -> dict[str, str]:
    """Paths and URLs by name, from ``PATH_OR_URL`` or ``NAME=PATH_OR_URL``.

    Raises:
        InvalidInputError: two stores have the same name, or one has none.
    """
    named: dict[str, str] = {}
    for argument in arguments:
        name, equals, url = argument.partition("=")
        if not equals or "/" in name:
            url = argument
            name = urlsplit(url).path.rstrip("/").rpartition("/")[2] or urlsplit(url).netloc
        if not name.strip(".") or not url:
            raise InvalidInputError(f"{argument} gives the store no name: write NAME=PATH_OR_URL.")
        if name in named:
            raise InvalidInputError(
                f"{named[name]} and {url} would both be served as {name}: write NAME=PATH_OR_URL for one."
            )
        named[name] = url
    return named


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise InvalidInputError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error


def _origin(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
