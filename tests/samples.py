"""Small corpora, teachers and stores that tests are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softstore import Corpus, Store
from softstore.codecs import Codec, FittedToSample, TopK, TrackSpec
from softstore.format import FEATURES, LABELS, Attributes
from softstore.frames import Frames
from softstore.generate import generate
from softstore.planner import plan_shards
from softstore.storage import open_storage
from softstore.writer import create

DIMENSIONS = 8
CLASSES = 120
SHARD_FRAMES = 512
CHUNK_FRAMES = 64


def make_corpus(path: str | Path, lengths: dict[str, int], seed: int = 0) -> Corpus:
    """A corpus of random features; every fourth utterance is cv, the others are train."""
    storage = open_storage(path, writable=True)
    writer = create(
        storage,
        Attributes(
            kind="corpus",
            class_count=CLASSES,
            shard_frames=SHARD_FRAMES,
            chunk_frames=CHUNK_FRAMES,
            tracks={FEATURES: TrackSpec("float16", DIMENSIONS), LABELS: TrackSpec("uint16")},
            features={"kind": "random"},
        ),
    )
    plans = plan_shards(lengths.items(), SHARD_FRAMES)
    writer.allocate(len(plans))
    order = list(lengths)
    for plan in plans:
        rows, features, labels = [], [], []
        for utterance_id in plan.utterance_ids:
            number = order.index(utterance_id)
            random = np.random.default_rng([seed, number])
            split = "cv" if number % 4 == 3 else "train"
            rows.append(
                {
                    "utterance_id": utterance_id,
                    "num_frames": lengths[utterance_id],
                    "speaker": f"speaker-{number % 3}-{split}",
                    "split": split,
                    "text": "the quick brown fox",
                    "snr_db": float(number),
                }
            )
            features.append(random.normal(size=(lengths[utterance_id], DIMENSIONS)).astype(np.float16))
            labels.append(random.integers(0, CLASSES, lengths[utterance_id]).astype(np.uint16))
        writer.write_shard(
            plan.shard, rows, {FEATURES: np.concatenate(features), LABELS: np.concatenate(labels)}
        )
    writer.finish()
    return Corpus.open(path)


@dataclass
class LinearTeacher:
    """Logits are a fixed random linear map of the features."""

    seed: int = 0
    scale: float = 2.0
    class_count: int = CLASSES
    dimensions: int = DIMENSIONS
    description: dict[str, Any] = field(default_factory=lambda: {"model": "linear"})

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.weights = self.scale * torch.randn(self.dimensions, self.class_count, generator=generator)
        self.fingerprint = hashlib.sha256(self.weights.numpy().tobytes()).hexdigest()

    def log_posteriors(self, features: Tensor) -> Tensor:
        return torch.log_softmax(features @ self.weights, dim=-1)


LENGTHS = {"a": 100, "b": 300, "c": 200, "d": 64, "e/with slash": 65, "ü nicode": 1, "g": 512, "h": 130}


def make_store(path: str | Path, corpus: Corpus, codec: Codec | FittedToSample | None = None) -> Store:
    """The soft targets of a `LinearTeacher` over a corpus."""
    storage = open_storage(path, writable=True)
    generate(corpus, LinearTeacher(), storage, codec or TopK(k=16), shard_frames=512, chunk_frames=64)
    return Store(Frames(storage))


@contextmanager
def damaged(corpus: Corpus, shard: int) -> Iterator[None]:
    """A flipped bit in the middle of the features of a shard, while the context lasts."""
    path = Path(corpus.url, FEATURES, "c", str(shard), "0")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)
