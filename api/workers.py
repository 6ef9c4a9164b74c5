"""Several processes that answer on one socket; each has the stores open for itself.

A worker that dies is replaced. Workers stop when this process closes a pipe, or is gone; signals they leave
to it, since a terminal sends them to the whole group.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import Pipe, connection
from socket import socket
from tempfile import TemporaryDirectory

from api.settings import ServiceSettings
from api.worker import Worker

RESTART_SECONDS = 1.0
"""Between the death of a worker and the beginning of another."""

_log = logging.getLogger(__name__)


def run_workers(settings: ServiceSettings, listener: socket, ready: Callable[[list[str]], None]) -> None:
    """Answer with ``settings.workers`` processes until SIGINT or SIGTERM; a second one ends them at once.

    Args:
        ready: called with the names of the stores when all workers answer.

    Raises:
        SoftstoreError: a worker could not begin; see `api.serving.Server`.
    """
    with TemporaryDirectory(prefix="softstore-metrics-") as directory:
        # Where workers count together; see `api.metrics`.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        _Crew(settings, listener).run(ready)


class _Crew:
    def __init__(self, settings: ServiceSettings, listener: socket) -> None:
        self._settings = settings
        self._listener = listener
        self._signals, self._signalled = Pipe(duplex=False)
        self._workers: list[Worker] = []

    def run(self, ready: Callable[[list[str]], None]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: self._signalled.send_bytes(bytes([number])))
        try:
            for _ in range(self._settings.workers):
                self._workers.append(self._start())
            names = self._wait_until_ready()
            if names is not None:
                ready(names)
                self._replace_the_dead()
            self._stop()
        finally:
            for worker in self._workers:
                worker.kill()

    def _start(self) -> Worker:
        return Worker(self._settings, self._listener)

    def _wait_until_ready(self) -> list[str] | None:
        """The names of the stores; None: there was a signal before all were ready."""
        names: list[str] = []
        for worker in self._workers:
            if self._signals in connection.wait([worker.said, self._signals]):
                return None
            names = worker.names()
        return names

    def _replace_the_dead(self) -> None:
        """Until there is a signal."""
        while self._signals not in connection.wait([self._signals, *_sentinels(self._workers)]):
            for index, worker in enumerate(self._workers):
                if worker.process.exitcode is not None:
                    _log.error("A worker ended: %s Another takes its place.", worker.last_words())
                    if self._signals.poll(RESTART_SECONDS):
                        return
                    self._workers[index] = self._start()

    def _stop(self) -> None:
        """Gently, unless there is another signal."""
        self._signals.recv_bytes()
        self._listener.close()
        for worker in self._workers:
            worker.stop()
        running = self._workers
        while running:
            if self._signals in connection.wait([self._signals, *_sentinels(running)]):
                sys.exit(128 + self._signals.recv_bytes()[0])
            running = [worker for worker in running if worker.process.exitcode is None]


def _sentinels(workers: list[Worker]) -> list[int]:
    return [worker.process.sentinel for worker in workers]
