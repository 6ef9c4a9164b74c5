"""What is published, in a few bytes an utterance: all that a plan for millions of them needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, SoftstoreError
from softstore.format import Attributes, Complete
from softstore.parts import iter_parts
from softstore.storage import Storage

_COLUMNS = ["utterance_id", "shard", "num_frames", "features_crc32c"]


@dataclass(frozen=True, slots=True)
class Survey:
    """Every published utterance, in stored order; all arrays (utterances,).

    Attributes:
        keys: a hash of each id, int64, good for this process alone.
        frames: int32.
        checksums: of the features, uint32; 0 where there are none.
        shards: int32, rising.
    """

    keys: NDArray[np.int64]
    frames: NDArray[np.int32]
    checksums: NDArray[np.uint32]
    shards: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keys)

    def those_of(self, utterance_ids: Iterable[str]) -> set[str]:
        """Which of these ids are there."""
        named = {key(utterance_id): utterance_id for utterance_id in utterance_ids}
        wanted = np.fromiter(named, np.int64, len(named))
        return {named[found] for found in wanted[np.isin(wanted, self.keys)].tolist()}

    def complete(self) -> Complete:
        """For a store's attributes: up to which shard there is no gap, and how much there is."""
        shards = np.unique(self.shards)
        gaps = np.flatnonzero(shards != np.arange(len(shards)))
        whole = int(gaps[0]) if len(gaps) else len(shards)
        return Complete(shards=whole, utterances=len(self), frames=int(self.frames.sum(dtype=np.int64)))

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these keys are, (keys,), int64; -1 for those that are not there."""
        if not len(self) or not len(keys):
            return np.full(len(keys), -1)
        order, asked = np.argsort(self.keys, kind="stable"), np.argsort(keys, kind="stable")
        # In order on both sides: at random, every step of every search would wait for memory.
        places = np.empty(len(keys), np.int64)
        places[asked] = np.searchsorted(self.keys[order], keys[asked])
        found = order[np.minimum(places, len(order) - 1)]
        return np.where(self.keys[found] == keys, found, -1)


def survey(storage: Storage, attributes: Attributes) -> Survey:
    """Look at everything that is published.

    Raises:
        CorruptDataError: a manifest part is damaged, or lists an utterance that another lists, too.
    """
    parts = [_part(table) for table in iter_parts(storage, attributes, _COLUMNS)]
    kinds = (np.int64, np.int32, np.uint32, np.int32)
    columns = [
        np.concatenate([np.empty(0, kind), *column])
        for kind, column in zip(kinds, zip(*parts, strict=True) if parts else [()] * len(kinds), strict=True)
    ]
    found = Survey(*columns)
    _check_different(found.keys, lambda rows: _ids(storage, attributes, rows), storage.url)
    return found


def key(utterance_id: str) -> int:
    """As in `Survey.keys`."""
    return hash(utterance_id)


def utterance_id_at(storage: Storage, attributes: Attributes, row: int) -> str:
    """The id in this row of a survey; for error messages, since it reads the manifest again."""
    return _ids(storage, attributes, [row])[0]


def _part(
    table: pa.Table,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint32], NDArray[np.int32]]:
    ids = table["utterance_id"].to_pylist()
    return (
        np.fromiter(map(key, ids), np.int64, len(ids)),
        table["num_frames"].to_numpy(),
        table["features_crc32c"].fill_null(0).to_numpy().astype(np.uint32),
        table["shard"].to_numpy(),
    )


def _check_different(keys: NDArray[np.int64], ids: Callable[[Iterable[int]], list[str]], url: str) -> None:
    ordered = np.sort(keys)
    alike = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(alike):
        return
    first, second = ids(np.flatnonzero(keys == alike[0])[:2].tolist())
    if first == second:
        raise CorruptDataError(f"The manifest of {url} lists utterance {first!r} twice: make it anew.")
    # One in a hundred thousand times, for ten million utterances; hashes differ from run to run.
    raise SoftstoreError(f"{first!r} and {second!r} in {url} have the same hash by chance: run this again.")


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
