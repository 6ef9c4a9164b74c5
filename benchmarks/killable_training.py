"""`softstore train` as a process that is there to be killed, at a moment of its run."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.killable import Killable
from trainer.config_file import CONFIG
from trainer.metrics_files import STEPS
from trainer.training_state import STATE

_POLL = 0.005
_QUICK_POLL = 0.0005
"""Seconds; a small checkpoint is written in a few milliseconds."""


class Training(Killable):
    """One `softstore train` on a CPU with one thread; resumed, where a run was before.

    Args:
        config: of a new run; it must log every update.
        work: see `Killable`.
    """

    def __init__(self, out: Path, config: Path, work: Path) -> None:
        self._out = out
        self._before = updates(out)
        how = ["--resume"] if (out / CONFIG).exists() else ["--config", config]
        super().__init__(["train", *how, "--out", out], work, {"OMP_NUM_THREADS": "1"})

    def times(self) -> list[float]:
        """Wait for its end; seconds from the first update to each, and to the end."""
        seen: list[float] = []
        running = True
        while running:
            running = self.running
            now = time.monotonic()
            seen += [now] * (updates(self._out) - len(seen))
            time.sleep(_POLL)
        self.end()
        return [moment - seen[0] for moment in (*seen, now)]

    def wait_for(self, moment: float, times: Sequence[float]) -> bool:
        """Until a moment of the run, and it has come further than the process before it; False: it has ended.

        Args:
            moment: seconds after the first update, of a run that had these ``times``.
        """
        aim = bisect_right(times[:-1], moment)
        while updates(self._out) < max(aim, self._before + 1):
            if not self.running:
                return False
            time.sleep(_POLL)
        time.sleep(moment - times[aim - 1])
        return self.running

    def wait_for_save(self) -> bool:
        """Until it begins to write its state; False: it has ended."""
        temporary = self._out / f"{STATE}.tmp"
        before = changed(temporary)
        while changed(temporary) in (0, before):
            if not self.running:
                return False
            time.sleep(_QUICK_POLL)
        return True


def updates(out: Path) -> int:
    """That were logged."""
    return (out / STEPS).read_bytes().count(b"\n") if (out / STEPS).exists() else 0


def last_update(out: Path) -> dict[str, Any]:
    """What was logged of the last one; a killed run may have left half a line after it."""
    last: dict[str, Any] = json.loads((out / STEPS).read_bytes().split(b"\n")[-2])
    return last


def changed(path: Path) -> int:
    """When a file was written to, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
