"""A Dask scheduler and workers on loopback, each a process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distributed import Client

from tests.processes import Process, process, wait_for


class DaskCluster:
    """One scheduler, and the workers that were started for it, in order, killed ones too."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._file = directory / "scheduler.json"
        self._directory = directory
        self._stack = stack
        self.workers: list[Process] = []
        self.scheduler = self._start("scheduler", "--scheduler-file", self._file, "--no-show", "--port", "0")
        self.address = self._address()

    def worker(self, *options: str, **environment: str) -> Process:
        """One more worker of one thread, which need not have joined yet."""
        options = ("--scheduler-file", str(self._file), "--nthreads", "1", *options)
        started = self._start("worker", *options, "--local-directory", str(self._directory), **environment)
        self.workers.append(started)
        return started

    def pid_of(self, worker: Process) -> int:
        """The process that works; with a nanny, its child."""
        with self.client() as client:
            (pid,) = set(client.run(os.getpid).values()) & set(worker.session())
        return int(pid)

    @contextmanager
    def client(self) -> Iterator[Client]:
        with Client(self.address, timeout=30, set_as_default=False) as client:
            yield client

    def wait_for_workers(self, count: int) -> None:
        with self.client() as client:
            client.wait_for_workers(count, timeout=60)

    def _address(self) -> str:
        # The file is there before all of it is.
        wait_for(lambda: self._file.exists() and self._file.read_text().endswith("}"), self.scheduler)
        return str(json.loads(self._file.read_text())["address"])

    def _start(self, what: str, *options: str | Path, **environment: str) -> Process:
        command = ("-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1", "--no-dashboard", *options)
        # Warnings of Dask are none of ours.
        return self._stack.enter_context(process(*command, environment={"PYTHONWARNINGS": "", **environment}))


@contextmanager
def dask_cluster(directory: Path) -> Iterator[DaskCluster]:
    """A scheduler without workers, while the context lasts."""
    with ExitStack() as stack:
        yield DaskCluster(directory, stack)
