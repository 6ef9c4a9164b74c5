"""A corpus of random features and labels, which can grow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from softstore.codecs import TrackSpec
from softstore.errors import NotAStoreError
from softstore.format import FEATURES, LABELS, Attributes
from softstore.parts import read_attributes
from softstore.planner import plan_shards
from softstore.storage import open_storage
from softstore.writer import Writer, create

CLASSES = 200
DIMENSIONS = 16
CHUNK_FRAMES = 64

Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.float64], NDArray[np.int64]]]
"""Features, (frames, `DIMENSIONS`), and labels, (frames,), of an utterance of so many frames."""


def noise(random: np.random.Generator, length: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features that say nothing of the labels."""
    return random.normal(size=(length, DIMENSIONS)), random.integers(0, CLASSES, length)


def add_utterances(
    path: Path, numbers: range, frames: tuple[int, int], shard_frames: int, draw: Draw = noise
) -> None:
    """Write utterances, the same ones for the same numbers, into new shards of a corpus; it may be a new one.

    Every tenth is cv, the others are train.

    Args:
        frames: the shortest and the longest utterance.
        shard_frames: of a new corpus.
    """
    storage = open_storage(path, writable=True)
    try:
        writer = Writer(storage, read_attributes(storage))
    except NotAStoreError:
        writer = create(storage, _attributes(shard_frames))
    lengths = {number: int(np.random.default_rng([0, number]).integers(*frames)) for number in numbers}
    before = writer.attributes.shards
    plans = plan_shards(((str(number), lengths[number]) for number in numbers), shard_frames)
    writer.allocate(before + len(plans))
    for plan in plans:
        rows, features, labels = [], [], []
        for name in plan.utterance_ids:
            random, length = np.random.default_rng([1, int(name)]), lengths[int(name)]
            row = {"num_frames": length, "speaker": "", "text": ""}
            split = "cv" if int(name) % 10 == 9 else "train"
            rows.append({"utterance_id": f"utterance-{int(name):06d}", "split": split, **row})
            heard, said = draw(random, length)
            features.append(heard.astype(np.float16))
            labels.append(said.astype(np.uint16))
        tracks = {FEATURES: np.concatenate(features), LABELS: np.concatenate(labels)}
        writer.write_shard(before + plan.shard, rows, tracks)
    writer.finish()


def _attributes(shard_frames: int) -> Attributes:
    return Attributes(
        kind="corpus",
        class_count=CLASSES,
        shard_frames=shard_frames,
        chunk_frames=CHUNK_FRAMES,
        tracks={FEATURES: TrackSpec("float16", DIMENSIONS), LABELS: TrackSpec("uint16")},
        features={"kind": "random"},
    )
