"""One process that answers: a server on a socket that is listened on already."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from socket import socket
from types import FrameType

import uvicorn

from api import logs
from api.app import create_app
from api.express_protocol import ExpressProtocol
from api.settings import ServiceSettings
from softstore.errors import InvalidInputError

GRACE_SECONDS = 25
"""How long answers under way may take to finish after a signal to stop: Kubernetes waits for 30."""


class Server(uvicorn.Server):
    """The service of ``settings``. A signal has it finish what is being sent; a second one ends the process.

    Args:
        ready: called with the names of the stores when requests are answered.

    Raises:
        SoftstoreError: as `api.app.create_app`; InvalidInputError also for a certificate that is not one.
    """

    def __init__(self, settings: ServiceSettings, ready: Callable[[list[str]], None]) -> None:
        check_certificate(settings)
        app = create_app(settings.stores, settings)
        self._log_format = settings.log_format
        self._ready = ready
        self._names = list(app.state.catalogue)
        super().__init__(
            uvicorn.Config(
                app,
                http=ExpressProtocol,
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket] | None = None) -> None:
        # Not before: who only finds out that there is nothing to run, keeps their logging.
        logs.configure(self._log_format)
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready(self._names)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In place of uvicorn's, which sends the process the signal once more when all is done."""
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True


def check_certificate(settings: ServiceSettings) -> None:
    """See whether the certificate and its key are there and belong together.

    Raises:
        InvalidInputError: they do not.
    """
    if settings.tls_certificate is None:
        return
    for path in filter(None, (settings.tls_certificate, settings.tls_key)):
        _check_readable(path)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, _no_password)
    except ssl.SSLError as error:
        names = " and ".join(str(path) for path in (settings.tls_certificate, settings.tls_key) if path)
        raise InvalidInputError(f"{names} are no certificate and its key, as PEM: {error.reason}.") from error


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from error


def _no_password() -> str:
    raise InvalidInputError("The certificate's key is encrypted: give one that needs no password.")
