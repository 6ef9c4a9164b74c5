"""A small corpus that can be learnt: each class has its own place in feature space, held for a few frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from softstore import Corpus
from softstore.codecs import TrackSpec
from softstore.format import FEATURES, LABELS, Attributes
from softstore.planner import plan_shards
from softstore.storage import open_storage
from softstore.writer import create

DIMENSIONS = 6
CLASSES = 12
SHARD_FRAMES = 1024
CHUNK_FRAMES = 64

LENGTHS = {f"utterance-{n:02}": 40 + 37 * n % 160 for n in range(24)}
"""Frames by utterance; every fourth one is cv, the others are train."""

Change = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]


def make_learnable_corpus(
    path: Path,
    change: Change = lambda utterance_id, features: features,
    utterances: Sequence[str] = tuple(LENGTHS),
) -> Corpus:
    """Labels that stay for 4 to 9 frames, features around their class's mean; ``change`` may spoil some."""
    storage = open_storage(path, writable=True)
    attributes = Attributes(
        kind="corpus",
        class_count=CLASSES,
        shard_frames=SHARD_FRAMES,
        chunk_frames=CHUNK_FRAMES,
        tracks={FEATURES: TrackSpec("float32", DIMENSIONS), LABELS: TrackSpec("uint16")},
        features={"kind": "gaussian"},
        corpus={"name": "learnable"},
    )
    writer = create(storage, attributes)
    plans = plan_shards(((name, LENGTHS[name]) for name in utterances), SHARD_FRAMES)
    writer.allocate(len(plans))
    means = np.random.default_rng(0).normal(scale=1.5, size=(CLASSES, DIMENSIONS))
    for plan in plans:
        rows = []
        features: list[NDArray[np.generic]] = []
        labels: list[NDArray[np.generic]] = []
        for utterance_id in plan.utterance_ids:
            number, frames = list(LENGTHS).index(utterance_id), LENGTHS[utterance_id]
            random = np.random.default_rng([1, number])
            held = np.repeat(random.integers(0, CLASSES, frames), random.integers(4, 10, frames))[:frames]
            heard = (5 + means[held] + random.normal(size=(frames, DIMENSIONS))).astype(np.float32)
            rows.append(
                {
                    "utterance_id": utterance_id,
                    "num_frames": frames,
                    "speaker": f"speaker-{number}",
                    "split": "cv" if number % 4 == 3 else "train",
                    "text": "",
                    "condition": 1 + number % 2,
                }
            )
            features.append(change(utterance_id, heard))
            labels.append(held.astype(np.uint16))
        tracks = {FEATURES: np.concatenate(features), LABELS: np.concatenate(labels)}
        writer.write_shard(plan.shard, rows, tracks)
    writer.finish()
    return Corpus.open(path)
