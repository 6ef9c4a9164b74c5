"""`softstore generate` as a process that is there to be killed, alone or with its workers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.killable import PATIENCE, Killable
from benchmarks.observed_teacher import SPEC
from benchmarks.random_corpus import CHUNK_FRAMES

SHARD_FRAMES = 512


class Generation(Killable):
    """One `softstore generate`, by itself or with two workers."""

    def __init__(
        self, corpus: Path, store: str, traces: Path, who: str, environment: Mapping[str, str]
    ) -> None:
        self._traces = traces
        self._with_workers = who != "alone"
        self._known = {trace.name for trace in traces.iterdir()}
        command = ["generate", str(corpus), "--teacher", SPEC, "--store", store, "--progress", "quiet"]
        command += ["--codec", "topk", "--shard-frames", str(SHARD_FRAMES)]
        command += ["--chunk-frames", str(CHUNK_FRAMES)]
        command += ["--workers", "2"] if self._with_workers else []
        super().__init__(command, traces.parent, environment)
        self._trace = traces / str(self.process.pid)

    def workers(self) -> list[int]:
        """Those that have loaded the teacher, and live."""
        ours = [int(trace.name) for trace in self._traces.iterdir() if trace.name not in self._known]
        return [pid for pid in ours if pid != self.process.pid and Path(f"/proc/{pid}").exists()]

    def has_begun(self) -> bool:
        """Whether those who are to make shards have loaded the teacher."""
        return bool(self.workers()) if self._with_workers else self._trace.exists()

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
