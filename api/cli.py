"""``softstore serve``."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softstore.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    from api.settings import ServiceSettings


def serve(
    stores: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STORE",
            help="Path or URL of a store, or NAME=PATH_OR_URL; the name is else the last path segment.",
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(help="Directory or s3:// URL: every store below it is served, also those to come."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on, 0.0.0.0 for all; 127.0.0.1 if left out.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one; 8000 if left out.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer; 1 if left out.")] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask for tokens; `softstore token add` makes them and the file."),
    ] = None,
    no_auth: Annotated[
        bool | None,
        typer.Option("--no-auth", help="Let whoever reaches the port read, wherever it listens."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Serve https with this certificate (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its private key, unless that is in the certificate's file."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages from here ask; several may be given, * is all."),
    ] = None,
    access_log: Annotated[
        bool | None, typer.Option("--access-log", help="Log requests to stderr, a line each.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="text|json", help="Of all that is logged; text if left out.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of settings, those above and others."),
    ] = None,
) -> None:
    """Serve stores over HTTP: posteriors at any temperature, and the stores themselves.

    Prints where each store is found, once it answers, and runs until SIGINT or SIGTERM. Then it finishes what
    it is sending; a second signal stops it at once.

    All flags are settings that may as well be in the environment (SOFTSTORE_PORT, SOFTSTORE_TOKENS, …) or in
    the file given by --config (tokens = "…"); there are more of them, such as limits, see docs/operating.md.

    Examples:

        softstore serve runs/demo/store

        softstore serve demo=runs/demo/store big=s3://bucket/aurora4 --port 0

        softstore serve --root s3://bucket/stores --host 0.0.0.0 --tokens tokens.json --workers 4
    """
    try:
        import uvicorn  # noqa: F401

        from api.auth import check_exposure
        from api.serving import Server
        from api.settings import load_settings
        from api.workers import run_workers
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"The service needs {error.name}, which is not installed: pip install 'softstore[api]'."
        ) from error
    settings = load_settings(
        config=config,
        stores=stores or None,
        root=root,
        host=host,
        port=port,
        workers=workers,
        tokens=tokens,
        no_auth=no_auth,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        cors_origins=cors_origin or None,
        access_log=access_log,
        log_format=log_format,
    )
    if not settings.stores and not settings.root:
        raise InvalidInputError(
            "There is nothing to serve: name a store, or a directory of stores with --root."
        )
    family, address = _resolve(settings.host, settings.port)
    check_exposure(address[0], tokens=settings.tokens, no_auth=settings.no_auth)

    def announce(names: list[str]) -> None:
        origin = _origin(listener, "https" if settings.tls_certificate else "http")
        for name in names:
            print(f"Serving {name} at {origin}/v1/stores/{name}", flush=True)
        if settings.root:
            print(f"Serving {settings.root} at {origin}/v1/stores", flush=True)

    if settings.workers > 1:
        with _listen(settings, family, address) as listener:
            run_workers(settings, listener, announce)
        return
    server = Server(settings, announce)
    with _listen(settings, family, address) as listener:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)
        server.run(sockets=[listener])


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InvalidInputError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error
    return family, (str(address[0]), port)


def _listen(settings: ServiceSettings, family: int, address: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise InvalidInputError(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}."
        ) from error


def _origin(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
