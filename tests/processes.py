"""`softstore` and whatever it needs as processes of their own, which tests kill and never leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

NOTHING: Mapping[str, str] = {}
"""More in the environment than there is."""

_PATIENCE = 120
"""Seconds after which whatever a test waits for is taken to come no more."""


@dataclass(frozen=True)
class Ended:
    """What became of a process; ``errors`` on one line, as the console may have broken it anywhere."""

    code: int
    output: str
    errors: str


class Process:
    """A Python process in a session of its own, in a folder, with the repository on its path."""

    def __init__(
        self, *arguments: str | Path, folder: Path = ROOT, environment: Mapping[str, str] = NOTHING
    ) -> None:
        # Files, since nobody reads from a pipe until the end.
        self._output, self._errors = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000", **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def send_all(self, number: signal.Signals) -> None:
        """To all of its session, as a terminal does."""
        os.killpg(self._process.pid, number)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self._process.wait(_PATIENCE)
        self._output.seek(0)
        self._errors.seek(0)
        return Ended(code, self._output.read(), " ".join(self._errors.read().split()))

    def wipe_out(self) -> None:
        """Kill it, and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()
        self._errors.close()

    def session(self) -> list[int]:
        """The processes that run in its session; itself is one of them."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, _, _, session = status.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self._process.pid and state != "Z":
                    found.append(int(status.parent.name))
        return found


@contextmanager
def process(
    *arguments: str | Path, folder: Path = ROOT, environment: Mapping[str, str] = NOTHING
) -> Iterator[Process]:
    """A process, while the context lasts at the longest."""
    started = Process(*arguments, folder=folder, environment=environment)
    try:
        yield started
    finally:
        started.wipe_out()


def softstore(*arguments: str | Path) -> tuple[str | Path, ...]:
    """The command line for `process`."""
    return ("-m", "softstore", *arguments)


def wait_for(condition: Callable[[], bool], running: Process | None = None) -> None:
    """Until it holds; fails if it never does, or the process that should see to it ends before."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        ended = running.end() if running is not None and not running.running else None
        assert ended is None or condition(), ended
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def published(store: Path) -> int:
    """Manifest parts that are there."""
    return len(list(store.glob("manifest/*.parquet")))
