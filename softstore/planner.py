"""Which utterances go into which shard."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from softstore.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard to write: its number, its utterances, in order, and how many frames they have together."""

    shard: int
    utterance_ids: list[str]
    frames: int


def plan_shards(
    lengths: Iterable[tuple[str, int]], shard_frames: int, block_frames: int = 1
) -> list[ShardPlan]:
    """Pack whole utterances into shards 0, 1, … in the order given.

    Args:
        lengths: (utterance id, number of frames), each id once.
        shard_frames, block_frames: as for `pack`.

    Raises:
        InvalidInputError: an utterance without frames, longer than a shard, or there twice.
    """
    named = list(lengths)
    counted = Counter(utterance_id for utterance_id, _ in named)
    if twice := next((utterance_id for utterance_id, times in counted.items() if times > 1), None):
        raise InvalidInputError(f"Utterance {twice!r} is there twice: give each its own id.")
    frames = np.array([frames for _, frames in named], np.int64)
    bounds = pack([frames], shard_frames, block_frames, lambda row: named[row][0]).tolist()
    return [
        ShardPlan(shard, [name for name, _ in named[first:last]], int(frames[first:last].sum()))
        for shard, (first, last) in enumerate(pairwise(bounds))
    ]


def padded_frames(frames: int, block_frames: int) -> int:
    """Rows that an utterance of so many frames occupies: the next multiple of ``block_frames``."""
    return -(-frames // block_frames) * block_frames


def pack(
    lengths: Iterable[NDArray[np.integer]], shard_frames: int, block_frames: int, name: Callable[[int], str]
) -> NDArray[np.int64]:
    """Cut utterances, in the order given, into as few groups as fit a shard each.

    Args:
        lengths: frames of each utterance, some (utterances,) at a time.
        shard_frames: room in one shard.
        block_frames: an utterance occupies a whole multiple of this (`padded_frames`).
        name: the id of an utterance by its number, for error messages.

    Returns:
        Where each group begins, and where the last one ends: (groups + 1,), int64.

    Raises:
        InvalidInputError: an utterance without frames, or longer than a shard.
    """
    bounds, before, taken = array("q", [0]), 0, 0
    for frames in lengths:
        occupied = -(-frames.astype(np.int64) // block_frames) * block_frames
        if len(empty := np.flatnonzero(frames < 1)):
            raise InvalidInputError(
                f"Utterance {name(before + int(empty[0]))!r} has no frames: leave it out of the corpus."
            )
        if len(long := np.flatnonzero(occupied > shard_frames)):
            raise InvalidInputError(
                f"Utterance {name(before + int(long[0]))!r} has {frames[long[0]]} frames, a shard has room "
                f"for {shard_frames}: cut it, or make the store with larger shards (--shard-frames)."
            )
        # What of the open group is taken before each utterance, and at last after all of them.
        ends = np.cumsum(np.concatenate([[taken], occupied]))
        full, closed = shard_frames, 0
        while (cut := int(np.searchsorted(ends, full, side="right")) - 1) < len(frames):
            bounds.append(before + cut)
            closed = int(ends[cut])
            full = closed + shard_frames
        before, taken = before + len(frames), int(ends[-1]) - closed
    if before > bounds[-1]:
        bounds.append(before)
    return np.array(bounds, np.int64)
