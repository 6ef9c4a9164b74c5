"""MosaicML streaming: MDS shards, in the order of its own shuffle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streaming import MDSWriter, StreamingDataset
from torch.utils.data import DataLoader

from benchmarks.loaders.peer import Peer, Spoken

COLUMNS = {"features": "ndarray:float16", "labels": "ndarray:uint16", "log_posteriors": "ndarray:float16"}


def write(utterances: Sequence[Spoken], directory: Path) -> None:
    with MDSWriter(out=str(directory), columns=COLUMNS) as sink:
        for utterance in utterances:
            sink.write(utterance.arrays())


def read(directory: Path, workers: int) -> Iterable[Mapping[str, Any]]:
    dataset = StreamingDataset(local=str(directory), shuffle=True, batch_size=1)
    return DataLoader(dataset, batch_size=None, num_workers=workers, persistent_workers=workers > 0)


PEERS = [Peer("MDS, float16", write, read)]
