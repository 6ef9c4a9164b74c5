"""The shards that are still to be made of a collection, one task each.

The collection's utterances, in stored order, are cut into units that fit a shard each: whatever has been
published, and whoever asks, the same collection has the same units. A unit goes into the shard of its own
number; one whose number is taken by others, because the store was made from something else or the collection
has grown inside the unit, goes behind all units. So jobs that run at the same time make the same shards, and
those who come second at one have nothing else to do with its utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.errors import ConflictError
from softstore.manifest import ShardObject
from softstore.marks import Marks
from softstore.planner import pack
from softstore.rows import Rows
from softstore.spilled import by_key
from softstore.survey import Survey


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make.

    Attributes:
        shard: its number.
        rows: the manifest rows of its utterances in the collection they come from, in order.
        objects: the objects of the collection that hold them, by path.
    """

    shard: int
    rows: pa.Table
    objects: dict[str, ShardObject]

    @property
    def frames(self) -> int:
        return int(self.rows["num_frames"].to_numpy().sum())


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done; a bit an utterance, and a few bytes a unit.

    Attributes:
        bounds: where each unit begins among the collection's utterances, and where the last ends.
        shards: the shard of each unit, int64; -1 where nothing is left to do.
        missing: which utterances are to be stored.
        utterances: how many that are.
        frames: of those.
    """

    bounds: NDArray[np.int64]
    shards: NDArray[np.int64]
    missing: Marks
    utterances: int
    frames: int

    @property
    def units(self) -> NDArray[np.int64]:
        """The numbers of those with something to do."""
        return np.flatnonzero(self.shards >= 0)

    def rows(self, unit: int) -> NDArray[np.int64]:
        """The numbers of the utterances of a unit that are to be stored, rising."""
        return self.missing.between(int(self.bounds[unit]), int(self.bounds[unit + 1]))


def plan_tasks(
    surveyed: Survey,
    published: Survey,
    shard_frames: int,
    block_frames: int,
    name: Callable[[int], str],
    leave_out: Sequence[int] = (),
) -> Plan:
    """Which utterances of the collection are not published yet, and into which shards they go.

    Args:
        surveyed: the collection.
        published: the store that is filled.
        name: the id of an utterance by its number in the collection, for error messages.
        leave_out: keys of utterances that are not to be tried again.

    Raises:
        ConflictError: an utterance has other features than the one that is published.
        InvalidInputError: an utterance does not fit a shard.
    """
    bounds = pack(surveyed.records.frames(), shard_frames, block_frames, name)
    missing, todo = Marks(len(surveyed)), np.zeros(len(bounds) - 1, bool)
    left_out = np.array(leave_out, np.int64)
    utterances = frames = 0
    other = len(surveyed)
    for ours, theirs in by_key(surveyed.records, published.records):
        there, same = _found(ours, theirs)
        other = int(ours["row"][there & ~same].min(initial=other))
        wanted = ours.compress(~there & ~np.isin(ours["key"], left_out))
        missing.add(wanted["row"])
        todo[np.searchsorted(bounds, wanted["row"], side="right") - 1] = True
        utterances += len(wanted)
        frames += int(wanted["frames"].sum(dtype=np.int64))
    if other < len(surveyed):
        raise ConflictError(
            f"Utterance {name(other)!r} has other features than the stored one: choose another place for the "
            "new ones, or give changed utterances ids of their own."
        )
    return Plan(bounds, _numbers(todo, published.shards), missing, utterances, frames)


def iter_tasks(plan: Plan, rows: Rows, units: Iterable[int]) -> Iterator[ShardTask]:
    """The tasks of these units, each with its manifest rows, which are read when it is asked for.

    Raises:
        CorruptDataError: the collection's manifest is damaged.
    """
    for unit in units:
        yield ShardTask(int(plan.shards[unit]), *rows.take(plan.rows(unit)))


def _found(ours: NDArray[np.void], theirs: NDArray[np.void]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of our records are among theirs, and which are just as they are there; both are sorted by key."""
    if not len(theirs):
        return np.zeros(len(ours), bool), np.zeros(len(ours), bool)
    places = np.searchsorted(theirs["key"], ours["key"])
    nearest = theirs.take(places, mode="clip")
    same = (nearest["checksum"] == ours["checksum"]) & (nearest["frames"] == ours["frames"])
    return nearest["key"] == ours["key"], same


def _numbers(todo: NDArray[np.bool_], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """The shard of each unit that has something to do; whoever asks later gives the others the same."""
    units = np.flatnonzero(todo)
    moved = units[np.isin(units, taken)]
    behind = taken[taken >= len(todo)]
    free = np.setdiff1d(np.arange(len(todo), len(todo) + len(behind) + len(moved)), behind)
    numbers = np.full(len(todo), -1, np.int64)
    numbers[units] = units
    numbers[moved] = free[: len(moved)]
    return numbers
