"""HDF5: a group an utterance, read in random order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from torch.utils.data import DataLoader, Dataset

from benchmarks.loaders.peer import Peer, Spoken

FILE = "utterances.h5"
CHUNK_FRAMES = 256
"""As of our stores."""


def write(compression: str | None, utterances: Sequence[Spoken], directory: Path) -> None:
    with h5py.File(directory / FILE, "w") as file:
        for utterance in utterances:
            group = file.create_group(utterance.utterance_id)
            for name, rows in utterance.arrays().items():
                chunks = (min(CHUNK_FRAMES, len(rows)), *rows.shape[1:]) if compression else None
                group.create_dataset(name, data=rows, compression=compression, chunks=chunks)


class Utterances(Dataset[dict[str, Any]]):
    """Every process opens the file for itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        with h5py.File(path) as file:
            self._names = list(file)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if self._file is None:
            self._file = h5py.File(self.path)
        return {name: rows[:] for name, rows in self._file[self._names[number]].items()}


def read(directory: Path, workers: int) -> Iterable[Mapping[str, Any]]:
    return DataLoader(
        Utterances(directory / FILE),
        batch_size=None,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


PEERS = [
    Peer("HDF5, float16", partial(write, None), read),
    Peer("HDF5, float16, gzip", partial(write, "gzip"), read),
]
