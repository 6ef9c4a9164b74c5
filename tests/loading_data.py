"""Batches to compare, and sources that say what was read from them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from trainer.examples import Example, Examples, Place
from trainer.loading import Batch, EpochBatches, StreamBatches, UtteranceBatches

LENGTHS = {f"u{n:02}": int(frames) for n, frames in enumerate(np.random.default_rng(0).integers(1, 200, 60))}
STREAMS, CHUNK, DELAY = 4, 20, 5


class Counted(Examples):
    """How often each utterance was read."""

    def __init__(self, examples: Examples) -> None:
        super().__init__(examples.frames)
        self.reads: Counter[str] = Counter()
        self._lock = threading.Lock()

    def fetch(self, neighbours: Sequence[Place], *, targets: bool = False) -> Callable[[], list[Example]]:
        with self._lock:
            self.reads.update(place.utterance_id for place in neighbours)
        return super().fetch(neighbours, targets=targets)


def streams(examples: Examples | Sequence[Examples], **changed: Any) -> StreamBatches:
    told = {"streams": STREAMS, "chunk_frames": CHUNK, "delay": DELAY, "seed": 3, "targets": True}
    return StreamBatches(examples, "train", **told | changed)


def whole(examples: Examples | Sequence[Examples], **changed: Any) -> UtteranceBatches:
    told = {"frames": 600, "delay": DELAY, "seed": 3, "targets": True}
    return UtteranceBatches(examples, "train", **told | changed)


def going_on(batches: EpochBatches, epoch: int, first: int) -> EpochBatches:
    """The same batches from another place on."""
    batches.load_state_dict(batches.state_dict() | {"epoch": epoch, "batch": first})
    return batches


def same(ours: Iterable[Batch], theirs: Iterable[Batch]) -> bool:
    """Whether these are the same batches, to the last bit."""
    return all(
        mine.utterance_ids == other.utterance_ids
        and all(
            torch.equal(getattr(mine, name), getattr(other, name))
            for name in ("features", "labels", "mask", "rows", "reset")
        )
        and mine.encoded.keys() == other.encoded.keys()
        and all(torch.equal(rows, other.encoded[name]) for name, rows in mine.encoded.items())
        for mine, other in zip(ours, theirs, strict=True)
    )
