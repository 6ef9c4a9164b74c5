"""The `softstore` command as a process that is there to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).parents[1]
PATIENCE = 300
"""Seconds after which what should have ended is said to hang."""


class Killable:
    """One `softstore`, in a session of its own.

    Args:
        work: a directory; what the process complains of goes into a file there.
        environment: besides what there is.
    """

    def __init__(self, arguments: Sequence[str | Path], work: Path, environment: Mapping[str, str]) -> None:
        self.errors = work / f"errors-{uuid4().hex}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "softstore", *map(str, arguments)],
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self, everyone: bool = False) -> bool:
        """SIGKILL, for all of its session or itself alone; False if it had ended by itself just then."""
        if everyone:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        return self.process.wait() == -signal.SIGKILL

    def end(self) -> None:
        """Wait for it; it must end well."""
        if self.process.wait(PATIENCE):
            raise RuntimeError(f"a run ended with {self.process.returncode}: {self.errors.read_text()}")

    def wipe_out(self) -> None:
        """Whatever is left of its session, if anything is."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
