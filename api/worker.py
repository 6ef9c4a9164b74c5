"""One of several processes that answer: what it is to the process that started it, and what it does."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from socket import socket
from types import FrameType

from api.settings import ServiceSettings
from softstore.errors import SoftstoreError

_READY = "ready: "


class Worker:
    """A process that has been started.

    Attributes:
        said: can be read from once it is ready, or has ended.
    """

    def __init__(self, settings: ServiceSettings, listener: socket) -> None:
        self.said, says = Pipe(duplex=False)
        told, self._tell = Pipe(duplex=False)
        self.process = get_context("spawn").Process(target=_work, args=(settings, listener, says, told))
        self.process.start()
        says.close()
        told.close()

    def names(self) -> list[str]:
        """Those of its stores, once it is ready.

        Raises:
            SoftstoreError: it could not begin.
        """
        try:
            said = self.said.recv_bytes().decode()
        except EOFError:
            self.process.join()
            said = f"A worker ended before it was ready: exit code {self.process.exitcode}."
        if not said.startswith(_READY):
            raise SoftstoreError(said)
        return said.removeprefix(_READY).split()

    def last_words(self) -> str:
        """Why it ended."""
        with suppress(EOFError):
            while self.said.poll():
                said = self.said.recv_bytes().decode()
                if not said.startswith(_READY):
                    return said
        return f"exit code {self.process.exitcode}."

    def stop(self) -> None:
        """Have it finish what it is sending, and end."""
        self._tell.close()

    def kill(self) -> None:
        """See it end, now."""
        self.process.kill()
        self.process.join()


def _work(settings: ServiceSettings, listener: socket, says: Connection, told: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from api.serving import Server

    class Told(Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Nothing: signals are for the process that started this one."""

    def ready(names: list[str]) -> None:
        says.send_bytes((_READY + " ".join(names)).encode())

    try:
        server = Told(settings, ready)
    except SoftstoreError as error:
        says.send_bytes(str(error).encode())
        sys.exit(1)

    def stop_when_told() -> None:
        with suppress(EOFError, OSError):
            told.recv_bytes()
        server.should_exit = True

    threading.Thread(target=stop_when_told, daemon=True).start()
    server.run(sockets=[listener])
