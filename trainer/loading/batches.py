"""What all batches of an epoch have in common: where they begin, what they have come to, who reads which."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain

from torch.utils.data import IterableDataset, get_worker_info

from softstore.errors import ConflictError, InvalidInputError
from softstore.reading_ahead import read_ahead
from trainer.examples import Examples
from trainer.loading.assembler import Assembler
from trainer.loading.plan import Plan
from trainer.loading.utterances import Utterances
from trainer.streams import Batch

BLOCK_FRAMES = 8192
"""Batches are put together so many frames at a time, the first ones fewer: somebody waits for them."""

BLOCKS_AHEAD = 4
"""At most so many blocks are ready before they are asked for."""


class EpochBatches(IterableDataset[Batch]):
    """One epoch's batches at each iteration; when the last one is handed out, the next epoch's turn has come.

    The batches follow from (seed, epoch) and the utterances' lengths alone, for every rank the same number.
    While one is in use, a thread puts the next ones together, and others read.

    It works by itself, in a loop, or in a `torch.utils.data.DataLoader` with ``batch_size=None``. Of N worker
    processes each makes every N-th batch, so that they come out in order; they are to be started by "spawn"
    or "forkserver". They are of use for `UtteranceBatches`; each worker of `StreamBatches` must read
    everything. Workers have their own copies: what this one's state says, does not move while they work.

    Args:
        examples: a store or corpus, or several to be mixed.
        split: of the manifest.
        delay: frames by which outputs come late.
        seed: of the order.
        targets: whether the teacher's encoded frames come with the batches.
        rank, world_size: each rank gets its share of every batch.

    Raises:
        InvalidInputError: a split without frames, or stores that do not go together.
    """

    def __init__(
        self,
        examples: Examples | Sequence[Examples],
        split: str,
        *,
        delay: int,
        seed: int,
        targets: bool,
        rank: int,
        world_size: int,
    ) -> None:
        self.sources = [examples] if isinstance(examples, Examples) else list(examples)
        check_go_together(self.sources, targets)
        if not 0 <= rank < world_size:
            raise InvalidInputError(f"There is no rank {rank} of {world_size}.")
        if delay < 0:
            raise InvalidInputError(f"delay must be at least 0, not {delay}.")
        self.utterances = Utterances.of(self.sources, split)
        self.delay = delay
        self.targets = targets
        self.rank = rank
        self.world_size = world_size
        self._seed = seed
        self._epoch = 0
        self._batch = 0
        self._planned: tuple[tuple[int, int], Plan] | None = None

    @abstractmethod
    def plan(self, seed: int, epoch: int) -> Plan:
        """What this rank reads in an epoch."""

    @abstractmethod
    def block(self) -> int:
        """How many batches are put together at once."""

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; one that is under way goes on."""
        if epoch != self._epoch:
            self._epoch, self._batch = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """The next batch's epoch and number, what the order depends on, and how many frames there are."""
        frames = int(self.utterances.num_frames.sum())
        return {"seed": self._seed, "epoch": self._epoch, "batch": self._batch, "frames": frames}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """The next batch is the one that would have come where the state was taken, however many workers.

        Raises:
            InvalidInputError: it is no such state.
            ConflictError: it is of other utterances.
        """
        expected = self.state_dict()
        if state.keys() != expected.keys() or not all(type(value) is int for value in state.values()):
            raise InvalidInputError(f"This is no state of batches: {dict(state)!r}.")
        if state["frames"] != expected["frames"]:
            raise ConflictError(
                f"The batches were of {state['frames']} frames, {self.sources[0].url} now makes "
                f"{expected['frames']}: go on with the stores that were begun with, or begin anew."
            )
        self._seed, self._epoch, self._batch = state["seed"], state["epoch"], state["batch"]

    def __len__(self) -> int:
        """Batches of the epoch."""
        return self._current().batches

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        plan = self._current()
        wanted = range(self._batch + number, plan.batches, workers)
        blocks = _blocks(wanted, self.block() if workers == 1 else 1)
        assemble = Assembler(
            self.sources, self.utterances, plan, wanted, delay=self.delay, targets=self.targets
        )
        with closing(read_ahead(assemble, blocks, threads=1, ahead=BLOCKS_AHEAD)) as ready:
            for number, batch in zip(wanted, chain.from_iterable(ready), strict=False):
                self._batch = number + 1
                if number + workers >= plan.batches:
                    self._epoch, self._batch = self._epoch + 1, 0
                yield batch
        if not wanted:
            self._epoch, self._batch = self._epoch + 1, 0

    def _current(self) -> Plan:
        key = self._seed, self._epoch
        if self._planned is None or self._planned[0] != key:
            self._planned = key, self.plan(*key)
        return self._planned[1]


def _blocks(wanted: range, most: int) -> Iterator[range]:
    """The wanted batches, in blocks that double in size until they have the most."""
    start, count = wanted.start, 1
    while start < wanted.stop:
        yield range(start, min(start + count, wanted.stop))
        start += count * wanted.step
        count = min(2 * count, most)


def check_go_together(sources: Sequence[Examples], targets: bool) -> None:
    """Raises `InvalidInputError` if one model cannot learn from all of these."""
    if not sources:
        raise InvalidInputError("There is no store to take batches from.")
    first = sources[0]
    for other in sources:
        ours, theirs = (first.input_dim, first.class_count), (other.input_dim, other.class_count)
        if ours != theirs:
            raise InvalidInputError(
                f"{first.url} has {ours[0]} features and {ours[1]} classes, {other.url} has {theirs[0]} and "
                f"{theirs[1]}: mix stores of the same."
            )
        if first.attributes.features != other.attributes.features:
            raise InvalidInputError(
                f"{first.url} and {other.url} have features of another kind: mix stores of the same."
            )
        names = [each.attributes.class_names for each in (first, other)]
        if all(names) and names[0] != names[1]:
            raise InvalidInputError(
                f"{first.url} and {other.url} name their classes differently, so a label would mean another "
                "senone in each: mix corpora that are labelled with the same ones."
            )
        if targets and other.codec is None:
            raise InvalidInputError(
                f"{other.url} is a corpus and has no soft targets: make a store of it with "
                "`softstore generate`."
            )
        encoded = [(each.attributes.codec, each.attributes.codec_arrays) for each in (first, other)]
        if targets and encoded[0] != encoded[1]:
            raise InvalidInputError(
                f"{first.url} and {other.url} are encoded differently: generate both corpora into one store, "
                "or `softstore recode` to a codec that is not fitted to them, such as uint8."
            )
