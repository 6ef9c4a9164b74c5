"""LitData: chunks in the order of its own shuffle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming import Cache

from benchmarks.loaders.peer import Peer, Spoken


def write(utterances: Sequence[Spoken], directory: Path) -> None:
    cache = Cache(str(directory), chunk_bytes="64MB")
    for number, utterance in enumerate(utterances):
        cache[number] = utterance.arrays()
    cache.done()
    cache.merge()


def read(directory: Path, workers: int) -> Iterable[Mapping[str, Any]]:
    dataset = StreamingDataset(str(directory), shuffle=True)
    loader: Iterable[Mapping[str, Any]] = StreamingDataLoader(
        dataset, batch_size=1, collate_fn=_only, num_workers=workers, persistent_workers=workers > 0
    )
    return loader


def _only(batch: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return batch[0]


PEERS = [Peer("LitData, float16", write, read)]
