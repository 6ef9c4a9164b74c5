"""Which utterances go into which shard."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from softstore.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard to write: its number, its utterances, in order, and how many frames they have together."""

    shard: int
    utterance_ids: list[str]
    frames: int


def padded_frames(frames: int, block_frames: int) -> int:
    """Rows that an utterance of so many frames occupies: the next multiple of ``block_frames``."""
    return -(-frames // block_frames) * block_frames


def plan_shards(
    lengths: Iterable[tuple[str, int]],
    shard_frames: int,
    taken: Collection[int] = (),
    block_frames: int = 1,
) -> list[ShardPlan]:
    """Pack whole utterances into shards in the order given, giving each the lowest free shard number.

    Args:
        lengths: (utterance id, number of frames) of what is still to be written.
        shard_frames: room in one shard.
        taken: shards that are published already.
        block_frames: an utterance occupies a whole multiple of this (`padded_frames`).

    Raises:
        InvalidInputError: an utterance without frames, longer than a shard, or there twice.
    """
    packed: list[tuple[list[str], int]] = []
    room = 0
    seen: set[str] = set()
    for utterance_id, frames in lengths:
        if utterance_id in seen:
            raise InvalidInputError(f"Utterance {utterance_id!r} is there twice: give each its own id.")
        seen.add(utterance_id)
        if frames < 1:
            raise InvalidInputError(f"Utterance {utterance_id!r} has no frames: leave it out of the corpus.")
        occupied = padded_frames(frames, block_frames)
        if occupied > shard_frames:
            raise InvalidInputError(
                f"Utterance {utterance_id!r} has {frames} frames, a shard has room for {shard_frames}: "
                "cut it, or make the store with larger shards (--shard-frames)."
            )
        if occupied > room:
            packed.append(([], 0))
            room = shard_frames
        room -= occupied
        utterance_ids, filled = packed[-1]
        utterance_ids.append(utterance_id)
        packed[-1] = utterance_ids, filled + frames
    free = (number for number in itertools.count() if number not in taken)
    return [ShardPlan(shard, *contents) for shard, contents in zip(free, packed, strict=False)]
