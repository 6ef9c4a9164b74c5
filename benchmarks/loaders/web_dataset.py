"""WebDataset: tar files, shuffled, and utterances shuffled in a buffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import webdataset

from benchmarks.loaders.peer import SHUFFLED, UTTERANCES_PER_SHARD, Peer, Spoken


def write(utterances: Sequence[Spoken], directory: Path) -> None:
    pattern = str(directory / "%06d.tar")
    with webdataset.ShardWriter(pattern, maxcount=UTTERANCES_PER_SHARD, verbose=0) as sink:
        for utterance in utterances:
            arrays = {f"{name}.npy": rows for name, rows in utterance.arrays().items()}
            sink.write({"__key__": utterance.utterance_id, **arrays})


def read(directory: Path, workers: int) -> Iterable[Mapping[str, Any]]:
    shards = sorted(map(str, directory.glob("*.tar")))
    dataset = webdataset.WebDataset(shards, shardshuffle=len(shards)).shuffle(SHUFFLED).decode()
    loader: Iterable[Mapping[str, Any]] = webdataset.WebLoader(
        dataset.map(_named), batch_size=None, num_workers=workers, persistent_workers=workers > 0
    )
    return loader


def _named(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Without the files' extension."""
    return {name.removesuffix(".npy"): rows for name, rows in sample.items() if name.endswith(".npy")}


PEERS = [Peer("WebDataset, float16", write, read)]
