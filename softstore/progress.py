"""How far a run that fills a store is: what bars, logs and metrics are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What a run is at."""

    PLANNING = "planning"
    FITTING = "fitting the codec"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Standing:
    """A run's counts, all of this run alone, but for ``present``.

    Attributes:
        utterances, frames, shards: published by this run so far; ``frames`` also counts those that are
            encoded and wait for their shard, where the run knows them.
        total_utterances, total_frames, total_shards: to be published by this run; 0 while it plans.
        present: utterances that were there before the run.
        skipped: utterances left out because of an error.
        bytes: of published objects.
        workers: processes at work; 0: this process works itself.
        dashboard: a page that shows the workers; None if there is none.
        seconds: since the run began.
    """

    phase: Phase
    utterances: int = 0
    frames: int = 0
    shards: int = 0
    total_utterances: int = 0
    total_frames: int = 0
    total_shards: int = 0
    present: int = 0
    skipped: int = 0
    bytes: int = 0
    workers: int = 0
    dashboard: str | None = None
    seconds: float = 0.0


Progress = Callable[[Standing], None]
"""Called whenever the standing has changed, by the thread that runs the job."""


def silent(standing: Standing) -> None:
    """Tells nobody."""


def together(*progress: Progress) -> Progress:
    """Tells all of them, in this order."""

    def tell(standing: Standing) -> None:
        for each in progress:
            each(standing)

    return tell
