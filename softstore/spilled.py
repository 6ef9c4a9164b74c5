"""A few numbers about each of millions of utterances, in bounded memory: the rest lies in a temporary file.

The numbers come utterance by utterance, and are asked for by key. So a run of them at a time is sorted and
written, and what has keys of one range is then read from every run. The file has no name: nothing is left of
it, however the process ends. Few utterances, such as fit a run, never see a disk.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import IO

import numpy as np
from numpy.typing import NDArray

from softstore.errors import StorageError

RUN = 1 << 18
"""Records kept in memory, and about as many are read at a time: 6 MB."""

RECORD = np.dtype([("key", np.int64), ("row", np.int64), ("frames", np.int32), ("checksum", np.uint32)])

_RANGES = 1024
"""Of keys, by their highest ten bits; a few of them are read at a time."""
_SHIFT = 54


class Records:
    """Records of utterances 0, 1, …: structured arrays of `RECORD`.

    Raises:
        StorageError: the temporary directory refused.
    """

    def __init__(self) -> None:
        self._held = np.empty(RUN, RECORD)
        self._filled = 0
        self._file: IO[bytes] | None = None
        self._begins: list[NDArray[np.int64]] = []
        """Of each run in the file: where each range of keys begins, and where the last one ends."""

    def __len__(self) -> int:
        return len(self._begins) * len(self._held) + self._filled

    def append(
        self, keys: NDArray[np.int64], frames: NDArray[np.int32], checksums: NDArray[np.uint32]
    ) -> None:
        """The next utterances; keys should be as even as those of a hash, all arrays (utterances,)."""
        while len(keys):
            if self._filled == len(self._held):
                self._spill()
            room = self._held[self._filled : self._filled + len(keys)]
            size = len(room)
            room["key"], keys = keys[:size], keys[size:]
            room["row"] = np.arange(len(self), len(self) + size)
            room["frames"], frames = frames[:size], frames[size:]
            room["checksum"], checksums = checksums[:size], checksums[size:]
            self._filled += size

    def frames(self) -> Iterator[NDArray[np.int32]]:
        """The frames of each utterance, in order; some at a time."""
        for run in range(len(self._begins)):
            records = self._read(run, 0, len(self._held))
            frames = np.empty(len(records), np.int32)
            frames[records["row"] - run * len(self._held)] = records["frames"]
            yield frames
        yield self._held["frames"][: self._filled]

    def between(self, first: int, last: int) -> NDArray[np.void]:
        """The records in ranges ``first`` … ``last - 1`` of keys, sorted by key, then in order."""
        spilled = [
            self._read(run, int(begins[first]), int(begins[last])) for run, begins in enumerate(self._begins)
        ]
        held = self._held[: self._filled]
        ranges = _ranges(held["key"])
        return _sorted(np.concatenate([*spilled, held.compress((ranges >= first) & (ranges < last))]))

    def _spill(self) -> None:
        records = _sorted(self._held)
        with _refusals():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115
                weakref.finalize(self, _close, self._file)
            self._file.seek(len(self._begins) * records.nbytes)
            self._file.write(records.tobytes())
            self._file.flush()
        self._begins.append(np.searchsorted(_ranges(records["key"]), np.arange(_RANGES + 1)))
        self._filled = 0

    def _read(self, run: int, first: int, last: int) -> NDArray[np.void]:
        assert self._file is not None
        with _refusals():
            self._file.seek((run * len(self._held) + first) * RECORD.itemsize)
            return np.frombuffer(self._file.read((last - first) * RECORD.itemsize), RECORD)


def by_key(*several: Records) -> Iterator[tuple[NDArray[np.void], ...]]:
    """Everything, some keys at a time, the records of each sorted by key: equal keys come together."""
    groups = -(-sum(map(len, several)) // RUN)
    edges = np.linspace(0, _RANGES, min(max(groups, 1), _RANGES) + 1).astype(int).tolist()
    for first, last in pairwise(edges):
        yield tuple(records.between(first, last) for records in several)


def _sorted(records: NDArray[np.void]) -> NDArray[np.void]:
    # Indexing does the same, ten times as slowly.
    return records.take(np.argsort(records["key"], kind="stable"))


def _ranges(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The range of each key."""
    found: NDArray[np.int64] = (keys >> _SHIFT) + _RANGES // 2
    return found


def _close(file: IO[bytes]) -> None:
    # What the disk had no room for would be written once more.
    with suppress(OSError):
        file.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Planning needs {RECORD.itemsize} bytes an utterance in a temporary file, in "
            f"{tempfile.tempdir or 'a temporary directory'}: {error.strerror}. Make room there, or name "
            "another directory with TMPDIR."
        ) from error
