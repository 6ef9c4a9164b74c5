"""`softstore generate` as a process that is there to be killed, alone or with its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from benchmarks.observed_teacher import SPEC
from benchmarks.random_corpus import CHUNK_FRAMES

ROOT = Path(__file__).parents[1]
SHARD_FRAMES = 512
PATIENCE = 300
"""Seconds after which what should have ended is said to hang."""


class Run:
    """One `softstore generate`, in a session of its own."""

    def __init__(self, corpus: Path, store: str, traces: Path, who: str, environment: dict[str, str]) -> None:
        self._traces = traces
        self._with_workers = who != "alone"
        self._known = {trace.name for trace in traces.iterdir()}
        command = [sys.executable, "-m", "softstore", "generate", str(corpus), "--teacher", SPEC]
        command += ["--store", store, "--progress", "quiet", "--codec", "topk"]
        command += ["--shard-frames", str(SHARD_FRAMES), "--chunk-frames", str(CHUNK_FRAMES)]
        self.errors = traces.parent / f"errors-{uuid4().hex}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--workers", "2"] if self._with_workers else command,
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self._trace = traces / str(self.process.pid)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def workers(self) -> list[int]:
        """Those that have loaded the teacher, and live."""
        ours = [int(trace.name) for trace in self._traces.iterdir() if trace.name not in self._known]
        return [pid for pid in ours if pid != self.process.pid and Path(f"/proc/{pid}").exists()]

    def has_begun(self) -> bool:
        """Whether those who are to make shards have loaded the teacher."""
        return bool(self.workers()) if self._with_workers else self._trace.exists()

    def end(self) -> None:
        """Wait for it; it must end well."""
        if self.process.wait(PATIENCE):
            raise RuntimeError(f"a run ended with {self.process.returncode}: {self.errors.read_text()}")

    def wipe_out(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for_workers(self) -> None:
        """Until nobody of its session is left."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        raise RuntimeError("the workers of a killed driver live on")
