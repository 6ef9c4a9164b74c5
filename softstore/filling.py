"""Fill a store with posteriors, whoever they come from: plan, make shards, go on until nothing is missing.

A second run makes only what is not published yet. Runs may be killed at any moment and work side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from softstore.codecs import Codec, FittedToSample
from softstore.codecs.transform.fitting import BLOCK_FRAMES
from softstore.errors import ConflictError, InvalidInputError
from softstore.format import Attributes, Complete, RunRecord, Skipped
from softstore.parts import read_attributes
from softstore.posteriors import Posteriors
from softstore.processors import usable_processors
from softstore.progress import Phase, Progress, Standing, silent
from softstore.provenance import finished
from softstore.publishing import check_blocks, open_or_create, with_codec
from softstore.rows import Rows
from softstore.sampling import stored_codec, take_sample
from softstore.shard_maker import OnError, Receipt, ShardMaker
from softstore.storage import Storage
from softstore.survey import Survey, key, survey, utterance_id_at
from softstore.tasks import Plan, ShardTask, iter_tasks, plan_tasks
from softstore.utterance import Utterance
from softstore.writer import Writer

U = TypeVar("U", bound=Utterance)

MOST_SKIPPED = 10_000
"""A run that has to leave out more utterances stops: what is wrong then is not the utterances."""


class Crew(Protocol):
    """Those who make the shards.

    Attributes:
        workers: processes; 0: this one.
        dashboard: a page that shows them at work, if there is one.
    """

    @property
    def workers(self) -> int: ...
    @property
    def dashboard(self) -> str | None: ...

    def make(self, tasks: Iterator[ShardTask], encoded: Callable[[int], None]) -> Iterator[Receipt]:
        """As `softstore.shard_maker.ShardMaker.make`; receipts come in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run did.

    Attributes:
        utterances, frames, shards, bytes: published by this run.
        present: utterances of the source that had been published before.
        elsewhere: utterances that others published meanwhile: another run, or a worker that was lost before
            it could say so.
        skipped: what could not be stored.
        seconds: wall-clock time of the run.
    """

    utterances: int = 0
    frames: int = 0
    shards: int = 0
    bytes: int = 0
    present: int = 0
    elsewhere: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0

    def with_receipt(self, receipt: Receipt) -> Summary:
        """The same, and one shard more."""
        skipped = [*self.skipped, *receipt.skipped] if receipt.skipped else self.skipped
        return replace(
            self,
            utterances=self.utterances + receipt.utterances,
            frames=self.frames + receipt.frames,
            shards=self.shards + bool(receipt.utterances),
            bytes=self.bytes + receipt.bytes,
            elsewhere=self.elsewhere + receipt.elsewhere,
            skipped=skipped,
        )


def fill(
    source: Posteriors[U],
    storage: Storage,
    codec: Codec | FittedToSample,
    wanted: Attributes,
    *,
    run: RunRecord,
    crew: Crew | None = None,
    on_error: OnError = OnError.STOP,
    progress: Progress = silent,
) -> Summary:
    """Store the posteriors of every utterance of the source that the store does not have yet.

    Args:
        codec: how a new store keeps them, or what to fit a codec for, to a sample of the source; a store that
            is there keeps the codec that was fitted for the same.
        wanted: the attributes of a new store, without the codec's.
        run: what is recorded of this run, if it has something to do.
        crew: who makes the shards; None: this process, with all its processors.
        on_error: what to do about an utterance that cannot be stored.

    Raises:
        ConflictError: the store was made by another teacher, codec or corpus, or of another source.
        InvalidInputError: an utterance does not fit a shard, or its posteriors cannot be used.
        CorruptDataError: the source is damaged.
        StorageError: the storage refused or did not answer; run it again.
    """
    filling = _Filling(source, storage, run, on_error, progress)
    writer, chosen = filling.begin(codec, wanted)
    return filling.complete(writer, crew or ShardMaker(source, writer, chosen, on_error, usable_processors()))


class _Filling:
    """One run."""

    def __init__(
        self, source: Posteriors[Any], storage: Storage, run: RunRecord, on_error: OnError, progress: Progress
    ) -> None:
        self._started = time.monotonic()
        self._source = source
        self._frames = source.collection.frames
        self._storage = storage
        self._run = run
        self._on_error = on_error
        self._progress = progress
        self._standing = Standing(Phase.PLANNING)
        self._show()
        self._surveyed: Survey | None = survey(self._frames.storage, self._frames.attributes)
        self._rows = Rows(self._frames, self._surveyed)
        self._tried: set[str] = set()

    def begin(self, asked: Codec | FittedToSample, wanted: Attributes) -> tuple[Writer, Codec]:
        """The store's writer and codec: the stored one, the given one, or one that is fitted now."""
        if not isinstance(asked, FittedToSample):
            return open_or_create(self._storage, with_codec(wanted, asked), asked.arrays()), asked
        codec = stored_codec(self._storage, asked)
        if codec is None:
            check_blocks(wanted.chunk_frames, BLOCK_FRAMES)
            self._show(phase=Phase.FITTING)
            patient = self._on_error is OnError.SKIP
            codec = asked.fit(take_sample(self._source, self._rows, patient=patient))
        try:
            return open_or_create(self._storage, with_codec(wanted, codec), codec.arrays()), codec
        except ConflictError:
            # Somebody else may have begun the store while this codec was fitted: theirs is as good.
            theirs = stored_codec(self._storage, asked)
            if theirs is None:
                raise
            return open_or_create(self._storage, with_codec(wanted, theirs), theirs.arrays()), theirs

    def complete(self, writer: Writer, crew: Crew) -> Summary:
        """Make what is missing; look again if another run has published some of it."""
        writer.roll_forward()
        plan, there = self._plan(writer)
        summary = Summary(present=len(plan.missing) - plan.utterances)
        self._show(
            phase=Phase.RUNNING,
            present=summary.present,
            total_utterances=plan.utterances,
            total_frames=plan.frames,
            total_shards=len(plan.units),
        )
        if not len(plan.units):
            writer.finish(there)
            return self._done(summary)
        while len(plan.units):
            before = summary.elsewhere
            for receipt in crew.make(self._tasks(writer, plan, crew), self._encoded):
                summary = summary.with_receipt(receipt)
                self._check_skipped(summary)
                self._show(
                    utterances=summary.utterances,
                    frames=max(summary.frames, self._standing.frames),
                    shards=summary.shards,
                    bytes=summary.bytes,
                    skipped=len(summary.skipped),
                    workers=crew.workers,
                    dashboard=crew.dashboard,
                )
            if summary.elsewhere == before:
                break
            plan, _ = self._plan(writer, summary.skipped)
        self._record(writer, summary)
        return self._done(summary)

    def _plan(self, writer: Writer, leave_out: Sequence[Skipped] = ()) -> tuple[Plan, Complete]:
        """What is to be done, and what is there; of all that was looked at, no more than that is kept."""
        stored, held = read_attributes(self._storage), self._frames

        def name(row: int) -> str:
            return utterance_id_at(held.storage, held.attributes, row)

        surveyed = self._surveyed or survey(held.storage, held.attributes)
        self._surveyed = None
        published = survey(self._storage, stored)
        keys = [key(skipped.utterance_id) for skipped in leave_out]
        plan = plan_tasks(surveyed, published, stored.shard_frames, stored.block_frames, name, keys)
        self._tried |= surveyed.those_of(skipped.utterance_id for skipped in stored.skipped)
        return plan, published.complete()

    def _tasks(self, writer: Writer, plan: Plan, crew: Crew) -> Iterator[ShardTask]:
        """The plan's tasks, once the store has room for them and knows of this run."""
        room = int(plan.shards.max()) + 1
        self._run = self._run.model_copy(update={"workers": crew.workers})
        writer.amend(lambda found: {"shards": max(room, found.shards), "runs": _with(found.runs, self._run)})
        units: NDArray[np.int64] = plan.units
        if any(run.finished is None and run.id != self._run.id for run in writer.attributes.runs):
            # Another run may be at work on the same shards: better not one after the other, both of us.
            units = np.random.default_rng(int(self._run.id, 16)).permutation(units)
        return iter_tasks(plan, self._rows, units)

    def _record(self, writer: Writer, summary: Summary) -> None:
        """Say in the attributes what this run did, and what is published."""
        run = finished(
            self._run,
            utterances=summary.utterances,
            frames=summary.frames,
            shards=summary.shards,
            skipped=len(summary.skipped),
            seconds=time.monotonic() - self._started,
        )

        def also(found: Attributes) -> dict[str, Any]:
            # Whatever of this source was missing was tried: older entries of it are settled.
            tried = self._tried | {entry.utterance_id for entry in summary.skipped}
            kept = [entry for entry in found.skipped if entry.utterance_id not in tried]
            return {"runs": _with(found.runs, run), "skipped": [*kept, *summary.skipped]}

        writer.finish(also=also)

    def _check_skipped(self, summary: Summary) -> None:
        if len(summary.skipped) > MOST_SKIPPED:
            last = summary.skipped[-1]
            raise InvalidInputError(
                f"More than {MOST_SKIPPED:,} utterances could not be stored, the last one because: "
                f"{last.reason} Find out what they have in common, and run this again."
            )

    def _encoded(self, frames: int) -> None:
        self._show(frames=self._standing.frames + frames)

    def _done(self, summary: Summary) -> Summary:
        self._show(phase=Phase.DONE)
        return replace(summary, seconds=time.monotonic() - self._started)

    def _show(self, **changes: Any) -> None:
        seconds = time.monotonic() - self._started
        self._standing = replace(self._standing, **changes, seconds=seconds)
        self._progress(self._standing)


def _with(runs: list[RunRecord], run: RunRecord) -> list[RunRecord]:
    """The runs with this one among them, once."""
    known = [run if other.id == run.id else other for other in runs]
    return known if run in known else [*known, run]
