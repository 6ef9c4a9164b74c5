"""A corpus of random features and labels, which can grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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


def add_utterances(path: Path, numbers: range, frames: tuple[int, int], shard_frames: int) -> None:
    """Write utterances, the same ones for the same numbers, into new shards of a corpus; it may be a new one.

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
            row = {"num_frames": length, "speaker": "", "split": "train", "text": ""}
            rows.append({"utterance_id": f"utterance-{int(name):06d}", **row})
            features.append(random.normal(size=(length, DIMENSIONS)).astype(np.float16))
            labels.append(random.integers(0, CLASSES, length).astype(np.uint16))
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
