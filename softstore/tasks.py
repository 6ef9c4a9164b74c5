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
from softstore.planner import pack
from softstore.rows import Rows
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
    """What is to be done; a few bytes an utterance.

    Attributes:
        bounds: where each unit begins among the collection's utterances, and where the last ends.
        shards: the shard of each unit, int64; -1 where nothing is left to do.
        missing: which utterances are to be stored, (utterances,), bool.
        frames: of those.
    """

    bounds: NDArray[np.int64]
    shards: NDArray[np.int64]
    missing: NDArray[np.bool_]
    frames: int

    @property
    def utterances(self) -> int:
        return int(self.missing.sum())

    @property
    def units(self) -> NDArray[np.int64]:
        """The numbers of those with something to do."""
        return np.flatnonzero(self.shards >= 0)


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
    bounds = pack(surveyed.frames, shard_frames, block_frames, name)
    there = published.find(surveyed.keys)
    _check_same(surveyed, published, there, name)
    missing = there < 0
    missing[np.isin(surveyed.keys, np.array(leave_out, np.int64))] = False
    unit_of = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    todo = np.zeros(len(bounds) - 1, bool)
    todo[unit_of[missing]] = True
    shards = _numbers(todo, np.unique(published.shards))
    return Plan(bounds, shards, missing, int(surveyed.frames[missing].sum(dtype=np.int64)))


def iter_tasks(plan: Plan, rows: Rows, units: Iterable[int]) -> Iterator[ShardTask]:
    """The tasks of these units, each with its manifest rows, which are read when it is asked for.

    Raises:
        CorruptDataError: the collection's manifest is damaged.
    """
    for unit in units:
        first, last = plan.bounds[unit], plan.bounds[unit + 1]
        table, objects = rows.take(first + np.flatnonzero(plan.missing[first:last]))
        yield ShardTask(int(plan.shards[unit]), table, objects)


def _check_same(
    surveyed: Survey, published: Survey, there: NDArray[np.int64], name: Callable[[int], str]
) -> None:
    rows = np.flatnonzero(there >= 0)
    found = there[rows]
    other = (surveyed.checksums[rows] != published.checksums[found]) | (
        surveyed.frames[rows] != published.frames[found]
    )
    if other.any():
        raise ConflictError(
            f"Utterance {name(int(rows[other.argmax()]))!r} has other features than the stored one: choose "
            "another place for the new ones, or give changed utterances ids of their own."
        )


def _numbers(todo: NDArray[np.bool_], taken: NDArray[np.int32]) -> NDArray[np.int64]:
    """The shard of each unit that has something to do; whoever asks later gives the others the same."""
    numbers = np.full(len(todo), -1, np.int64)
    published = set(taken.tolist())
    behind = len(todo)
    for unit in np.flatnonzero(todo).tolist():
        if unit not in published:
            numbers[unit] = unit
            continue
        while behind in published:
            behind += 1
        numbers[unit] = behind
        behind += 1
    return numbers
