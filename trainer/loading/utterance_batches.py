"""Batches of whole utterances."""

from __future__ import annotations

from collections.abc import Sequence

from softstore.errors import InvalidInputError
from trainer.examples import Examples
from trainer.loading.batches import EpochBatches
from trainer.loading.plan import Plan, plan_whole


class UtteranceBatches(EpochBatches):
    """Utterances of similar length side by side, each in a stream of its own, padded to the longest.

    Rank r of W gets utterances r, r + W, … of every batch, and a silent stream where they do not come out
    even.

    Args:
        frames: that a batch of all ranks together holds at most, padding and ``delay`` included; an utterance
            that is longer is a batch by itself.
        examples, split, delay, seed, targets, rank, world_size: see `EpochBatches`.

    Raises:
        InvalidInputError: as `EpochBatches`.
    """

    def __init__(
        self,
        examples: Examples | Sequence[Examples],
        split: str,
        *,
        frames: int,
        seed: int,
        targets: bool,
        delay: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if frames < 1:
            raise InvalidInputError(f"A batch has at least 1 frame, not {frames}.")
        super().__init__(
            examples, split, delay=delay, seed=seed, targets=targets, rank=rank, world_size=world_size
        )
        self.frames = frames

    def plan(self, seed: int, epoch: int) -> Plan:
        return plan_whole(
            self.utterances,
            seed,
            epoch,
            frames=self.frames,
            delay=self.delay,
            rank=self.rank,
            world_size=self.world_size,
        )

    def block(self) -> int:
        return 1
