"""`softstore serve` as a process of its own, on a port that stays its own when it is started again."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.processes import ROOT, Process, softstore, wait_for


class Service:
    """Attributes: url, such as ``http://127.0.0.1:8000``."""

    def __init__(self, *arguments: str | Path, folder: Path = ROOT) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = (*arguments, "--port", str(port))
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Until it answers."""
        self.process = Process(*softstore("serve", *self._arguments), folder=self._folder)
        wait_for(self.answers, self.process)

    def stop(self, number: signal.Signals) -> None:
        """By a signal, until it is gone."""
        self.process.send(number)
        self.process.end()
        self.process.wipe_out()

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))


@contextmanager
def service(*arguments: str | Path, folder: Path = ROOT) -> Iterator[Service]:
    """A service with these arguments, relative to ``folder``, while the context lasts."""
    started = Service(*arguments, folder=folder)
    try:
        yield started
    finally:
        started.process.wipe_out()
