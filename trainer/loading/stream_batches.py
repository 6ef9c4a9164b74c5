"""Batches for truncated back-propagation through time."""

from __future__ import annotations

from collections.abc import Sequence

from softstore.errors import InvalidInputError
from trainer.examples import Examples
from trainer.loading.batches import BLOCK_FRAMES, EpochBatches
from trainer.loading.plan import Plan, plan_streams


class StreamBatches(EpochBatches):
    """Streams of utterances, cut into chunks: see `trainer.streams` and `EpochBatches`.

    Rank r of W reads streams r · S / W … (r + 1) · S / W, so all ranks together see what one would see alone.

    Args:
        streams: S of all ranks together.
        chunk_frames: T, steps of a batch.
        examples, split, delay, seed, targets, rank, world_size: see `EpochBatches`.

    Raises:
        InvalidInputError: as `EpochBatches`; or the ranks cannot share the streams equally.
    """

    def __init__(
        self,
        examples: Examples | Sequence[Examples],
        split: str,
        *,
        streams: int,
        chunk_frames: int,
        delay: int,
        seed: int,
        targets: bool,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if streams < 1 or chunk_frames < 1:
            raise InvalidInputError(
                f"streams and chunk_frames must be at least 1, not {streams} and {chunk_frames}."
            )
        if world_size < 1 or streams % world_size:
            raise InvalidInputError(
                f"{streams} streams cannot be shared by {world_size} ranks: make them a multiple of that."
            )
        super().__init__(
            examples, split, delay=delay, seed=seed, targets=targets, rank=rank, world_size=world_size
        )
        self.streams = streams
        self.chunk_frames = chunk_frames

    def plan(self, seed: int, epoch: int) -> Plan:
        return plan_streams(
            self.utterances,
            seed,
            epoch,
            streams=self.streams,
            chunk_frames=self.chunk_frames,
            delay=self.delay,
            rank=self.rank,
            world_size=self.world_size,
        )

    def block(self) -> int:
        # Of many streams, most utterances reach into the next batch: two cost less together than apart.
        return max(BLOCK_FRAMES * self.world_size // (self.streams * self.chunk_frames), 2)
