"""Make shards: read a task's utterances, ask for their posteriors, encode, certify, publish.

Every utterance is encoded alone, so what is stored of it does not depend on the task it came in. Utterances
(or, on a GPU, batches of them) go through several threads, while finished shards are being written.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

import torch

from softstore.allocation import keep_memory
from softstore.codecs import Codec
from softstore.encoding import EncodedUtterance, encode_utterance, is_certificate
from softstore.errors import UNUSABLE
from softstore.format import FIRST_OVERFLOW, NUM_OVERFLOW, TARGETS, Skipped
from softstore.posteriors import Posteriors
from softstore.publishing import publish
from softstore.reading_ahead import read_ahead
from softstore.tasks import ShardTask
from softstore.utterance import Utterance
from softstore.writer import Writer

U = TypeVar("U", bound=Utterance)

_PLACEMENT = {"shard", "first_frame", "features_crc32c", FIRST_OVERFLOW, NUM_OVERFLOW}
"""Manifest columns that writing adds."""


class OnError(StrEnum):
    """What to do about an utterance that cannot be stored."""

    STOP = "stop"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of a task.

    Attributes:
        utterances, frames, bytes: published; 0 if there was nothing to publish, or somebody else did.
        elsewhere: utterances whose shard somebody else had published: another run, or a worker of this one
            that was lost before it could say so.
        skipped: what could not be stored.
    """

    shard: int
    utterances: int = 0
    frames: int = 0
    bytes: int = 0
    elsewhere: int = 0
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True)
class ShardMaker(Generic[U]):
    """Makes shards in this process.

    Attributes:
        threads: that encode.
    """

    source: Posteriors[U]
    writer: Writer
    codec: Codec
    on_error: OnError
    threads: int

    workers = 0
    dashboard = None

    def make(
        self, tasks: Iterable[ShardTask], encoded: Callable[[int], None] = lambda frames: None
    ) -> Generator[Receipt, None, None]:
        """Make these shards, in this order.

        Args:
            encoded: called with the frames of each utterance that is encoded.

        Raises:
            InvalidInputError, CorruptDataError: an utterance cannot be stored, and ``on_error`` is to stop.
            StorageError: the storage refused or did not answer.
        """
        keep_memory()
        with _one_thread_each(), closing(self._encoded(tasks)) as stream:
            found: list[EncodedUtterance] = []
            skipped: list[Skipped] = []
            for task, outcomes in stream:
                if outcomes is None:
                    yield self._publish(task, found, skipped)
                    found, skipped = [], []
                    continue
                for outcome in outcomes:
                    if isinstance(outcome, Skipped):
                        skipped.append(outcome)
                    else:
                        found.append(outcome)
                        encoded(outcome.frames)

    def _encoded(
        self, tasks: Iterable[ShardTask]
    ) -> Generator[tuple[ShardTask, list[EncodedUtterance | Skipped] | None], None, None]:
        """Each task with its utterances, some at a time, and at last with None."""

        def encode(
            item: tuple[ShardTask, list[U] | None],
        ) -> tuple[ShardTask, list[EncodedUtterance | Skipped] | None]:
            task, utterances = item
            return task, None if utterances is None else self._encode(utterances)

        return read_ahead(encode, self._batches(tasks), self.threads, 2 * self.threads)

    def _batches(self, tasks: Iterable[ShardTask]) -> Iterator[tuple[ShardTask, list[U] | None]]:
        for task in tasks:
            # Another job may have been here since the tasks were planned.
            if not self.writer.is_published(task.shard):
                batch: list[U] = []
                for utterance in self.source.collection.scan_rows(task.rows, task.objects):
                    frames = sum(waiting.num_frames for waiting in batch) + utterance.num_frames
                    if batch and frames > self.source.batch_frames:
                        yield task, batch
                        batch = []
                    batch.append(utterance)
                yield task, batch
            yield task, None

    @torch.inference_mode()
    def _encode(self, utterances: list[U]) -> list[EncodedUtterance | Skipped]:
        try:
            posteriors = self.source.log_posteriors_of(utterances)
            return [self._certified(*pair) for pair in zip(utterances, posteriors, strict=True)]
        except UNUSABLE as error:
            if len(utterances) > 1:
                return [outcome for utterance in utterances for outcome in self._encode([utterance])]
            name, reason = utterances[0].utterance_id, str(error)
            if self.on_error is OnError.SKIP:
                return [Skipped(utterance_id=name, reason=reason)]
            if repr(name) in reason:
                raise
            raise type(error)(f"Utterance {name!r}: {reason}") from error

    def _certified(self, utterance: U, log_posteriors: torch.Tensor) -> EncodedUtterance:
        tracks = [name for name in utterance.frames.attributes.tracks if not name.startswith(f"{TARGETS}/")]
        carried = {track: utterance.read(track) for track in tracks}
        temperatures = self.writer.attributes.certificate_temperatures
        return encode_utterance(self.codec, log_posteriors, temperatures, _own(utterance.row), carried)

    def _publish(self, task: ShardTask, found: list[EncodedUtterance], skipped: list[Skipped]) -> Receipt:
        size = publish(self.writer, task.shard, found) if found else 0
        if not size:
            return Receipt(task.shard, elsewhere=len(task.rows) - len(skipped), skipped=skipped)
        frames = sum(utterance.frames for utterance in found)
        return Receipt(task.shard, len(found), frames, size, 0, skipped)


def _own(row: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest columns of an utterance that are its own wherever it is stored."""
    return {name: value for name, value in row.items() if name not in _PLACEMENT and not is_certificate(name)}


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """torch's own threads would wait for each other at every small step of encoding and measuring.

    Their number holds for threads to come.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
