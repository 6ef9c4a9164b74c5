"""Lhotse Shar: a tar file for each kind of array, of float16 or compressed by lilcom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lhotse import CutSet, MonoCut
from lhotse.shar import SharWriter
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.loaders.peer import SHUFFLED, UTTERANCES_PER_SHARD, Peer, Spoken

FRAME_SHIFT = 0.01
NAMES = {"features": "fbank", "labels": "labels", "log_posteriors": "log_posteriors"}
"""What each array is called there: ``features`` is a field of its own kind."""


def write(floats: str, utterances: Sequence[Spoken], directory: Path) -> None:
    """``floats``: how these are written, ``numpy`` or ``lilcom``."""
    fields = {"fbank": floats, "labels": "numpy", "log_posteriors": floats}
    with SharWriter(str(directory), fields=fields, shard_size=UTTERANCES_PER_SHARD) as sink:
        for utterance in utterances:
            duration = len(utterance.labels) * FRAME_SHIFT
            cut: Any = MonoCut(utterance.utterance_id, start=0, duration=duration, channel=0)
            for name, rows in utterance.arrays().items():
                # lilcom takes no float16.
                told = rows.astype("float32") if floats == "lilcom" and rows.dtype.kind == "f" else rows
                cut = cut.attach_tensor(NAMES[name], told, frame_shift=FRAME_SHIFT, temporal_dim=0)
            sink.write(cut)


class Cuts(IterableDataset[dict[str, Any]]):
    def __init__(self, directory: Path) -> None:
        self.cuts = CutSet.from_shar(
            in_dir=str(directory), shuffle_shards=True, split_for_dataloading=True, seed=0
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for cut in self.cuts.shuffle(buffer_size=SHUFFLED):
            yield {name: cut.load_custom(theirs) for name, theirs in NAMES.items()}


def read(directory: Path, workers: int) -> Iterable[Mapping[str, Any]]:
    return DataLoader(Cuts(directory), batch_size=None, num_workers=workers, persistent_workers=workers > 0)


PEERS = [
    Peer("Lhotse Shar, float16", partial(write, "numpy"), read),
    Peer("Lhotse Shar, lilcom", partial(write, "lilcom"), read),
]
