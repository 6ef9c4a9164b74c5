"""What is published, as far as a plan for millions of utterances needs to know it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, SoftstoreError
from softstore.format import Attributes, Complete
from softstore.parts import iter_parts
from softstore.spilled import Records, by_key
from softstore.storage import Storage

_COLUMNS = ["utterance_id", "shard", "num_frames", "features_crc32c"]


class Survey:
    """Every published utterance, in stored order; in memory, some bytes a shard.

    Attributes:
        records: of each utterance, by `key`; the checksum is of its features, 0 where there are none.
        frames: of all.
    """

    def __init__(self) -> None:
        self.records = Records()
        self.frames = 0
        self._shards, self._firsts = array("q"), array("q")

    def __len__(self) -> int:
        return len(self.records)

    @property
    def shards(self) -> NDArray[np.int64]:
        """Those that are published, rising: (shards,)."""
        return np.array(self._shards, np.int64)

    @property
    def firsts(self) -> NDArray[np.int64]:
        """The number of the first utterance of each: (shards,)."""
        return np.array(self._firsts, np.int64)

    def add(
        self,
        keys: NDArray[np.int64],
        frames: NDArray[np.int32],
        checksums: NDArray[np.uint32],
        shards: NDArray[np.int32],
    ) -> None:
        """The next utterances; all arrays (utterances,), shards rise."""
        begins = np.flatnonzero(np.diff(shards, prepend=self._shards[-1] if self._shards else -1))
        self._shards.extend(shards[begins].tolist())
        self._firsts.extend((begins + len(self)).tolist())
        self.frames += int(frames.sum(dtype=np.int64))
        self.records.append(keys, frames, checksums)

    def those_of(self, utterance_ids: Iterable[str]) -> set[str]:
        """Which of these ids are there."""
        named = {key(utterance_id): utterance_id for utterance_id in utterance_ids}
        if not named:
            return set()
        wanted = np.fromiter(named, np.int64, len(named))
        there = (wanted[np.isin(wanted, records["key"])].tolist() for (records,) in by_key(self.records))
        return {named[found] for some in there for found in some}

    def complete(self) -> Complete:
        """For a store's attributes: up to which shard there is no gap, and how much there is."""
        shards = self.shards
        gaps = np.flatnonzero(shards != np.arange(len(shards)))
        whole = int(gaps[0]) if len(gaps) else len(shards)
        return Complete(shards=whole, utterances=len(self), frames=self.frames)


def survey(storage: Storage, attributes: Attributes) -> Survey:
    """Look at everything that is published.

    Raises:
        CorruptDataError: a manifest part is damaged, or lists an utterance that another lists, too.
        StorageError: a storage, or the temporary directory, refused.
    """
    found = Survey()
    for table in iter_parts(storage, attributes, _COLUMNS):
        ids = table["utterance_id"].to_pylist()
        found.add(
            np.fromiter(map(key, ids), np.int64, len(ids)),
            table["num_frames"].to_numpy(),
            table["features_crc32c"].fill_null(0).to_numpy(),
            table["shard"].to_numpy(),
        )
    _check_different(found, lambda rows: _ids(storage, attributes, rows), storage.url)
    return found


def key(utterance_id: str) -> int:
    """A hash, good for this process alone."""
    return hash(utterance_id)


def utterance_id_at(storage: Storage, attributes: Attributes, row: int) -> str:
    """The id in this row of a survey; for error messages, since it reads the manifest again."""
    return _ids(storage, attributes, [row])[0]


def _check_different(surveyed: Survey, ids: Callable[[Iterable[int]], list[str]], url: str) -> None:
    for (records,) in by_key(surveyed.records):
        alike = np.flatnonzero(records["key"][1:] == records["key"][:-1])
        if not len(alike):
            continue
        first, second = ids(records["row"][alike[0] : alike[0] + 2].tolist())
        if first == second:
            raise CorruptDataError(f"The manifest of {url} lists utterance {first!r} twice: make it anew.")
        # One in a hundred thousand times, for ten million utterances; hashes differ from run to run.
        raise SoftstoreError(
            f"{first!r} and {second!r} in {url} have the same hash by chance: run this again."
        )


def _ids(storage: Storage, attributes: Attributes, rows: Iterable[int]) -> list[str]:
    wanted = list(rows)
    found: dict[int, str] = {}
    first = 0
    for part in iter_parts(storage, attributes, ["utterance_id"]):
        for row in wanted:
            if first <= row < first + len(part):
                found[row] = part["utterance_id"][row - first].as_py()
        first += len(part)
        if len(found) == len(set(wanted)):
            break
    return [found[row] for row in wanted]
