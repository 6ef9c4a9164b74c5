"""What a generation run will cost and give, from a trial with a few utterances; nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from softstore.codecs import Codec, FittedToSample
from softstore.codecs.transform.fidelity import SAMPLE_FRAMES
from softstore.codecs.transform.fitting import BLOCK_FRAMES
from softstore.corpus import Corpus
from softstore.errors import NotAStoreError
from softstore.format import TARGETS, Attributes
from softstore.generate import batch_frames, store_attributes
from softstore.inference import Inference
from softstore.parts import read_attributes
from softstore.publishing import check_belongs, check_blocks, with_codec
from softstore.rows import Rows
from softstore.sampling import sampling_order, stored_codec, take_sample
from softstore.storage import Storage
from softstore.store_certificate import KlSummary
from softstore.survey import Survey, survey, utterance_id_at
from softstore.tasks import Plan, plan_tasks
from softstore.teacher import Teacher
from softstore.trial import try_out

TRIAL_FRAMES = 8192

_FITTED = 0.75
"""Of a corpus that is hardly larger than what codecs are fitted to, so much of it is taken for that: the rest
must say what becomes of utterances that the codec does not know."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is still to be done, and what is to be expected of it.

    Attributes:
        present: utterances that are stored already.
        utterances, frames, shards: to be stored.
        hours: of speech in them.
        track_bytes: of them, by track.
        codec_bytes: once for the whole store; 0 if it is there.
        manifest_bytes: of the manifest and all other metadata.
        fit_seconds: to fit a codec, the teacher's part of it included; 0 if there is nothing to fit.
        frames_per_second: of this process on this device, writing aside.
        sample_utterances, sample_frames: of the trial; 0, and nothing foretold, if nothing is to be done.
        unknown: whether the codec was fitted to other utterances than those of the trial.
        kl: of the trial, by temperature.
    """

    present: int
    utterances: int = 0
    frames: int = 0
    shards: int = 0
    hours: float = 0.0
    track_bytes: dict[str, int] = field(default_factory=dict)
    codec_bytes: int = 0
    manifest_bytes: int = 0
    fit_seconds: float = 0.0
    frames_per_second: float = 0.0
    sample_utterances: int = 0
    sample_frames: int = 0
    unknown: bool = True
    kl: list[KlSummary] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Everything that will be written."""
        return sum(self.track_bytes.values()) + self.codec_bytes + self.manifest_bytes

    @property
    def target_bytes_per_frame(self) -> float:
        """Of the soft targets, without what is needed once."""
        size = sum(size for track, size in self.track_bytes.items() if track.startswith(f"{TARGETS}/"))
        return size / max(self.frames, 1)

    def seconds(self, workers: int = 1) -> float:
        """How long so many of this process will take, if each is as fast as this one alone.

        Only one fits the codec, and the others wait.
        """
        return self.fit_seconds + self.frames / max(self.frames_per_second * workers, 1e-9)


def forecast(
    corpus: Corpus,
    teacher: Teacher,
    codec: Codec | FittedToSample,
    *,
    shard_frames: int,
    chunk_frames: int,
    device: str = "cpu",
    sample_frames: int = TRIAL_FRAMES,
    storage: Storage | None = None,
) -> Forecast:
    """What `softstore.generate.generate`, given the same, will do.

    A codec is fitted as it would be, and a trial with other utterances is stored in memory.

    Args:
        sample_frames: of the trial, or a little more.
        storage: where the store is to be, if something may be there already.

    Raises:
        As `softstore.generate.generate`, of what can be seen beforehand.
    """
    source = Inference(corpus, teacher, batch_frames(device))
    wanted = store_attributes(corpus, teacher, shard_frames, chunk_frames)
    surveyed = survey(corpus.frames.storage, corpus.attributes)
    rows = Rows(corpus.frames, surveyed)
    chosen, found = _there(storage, codec, wanted)
    published = Survey() if found is None or storage is None else survey(storage, found)
    if found is not None:
        wanted = wanted.model_copy(
            update={"shard_frames": found.shard_frames, "chunk_frames": found.chunk_frames}
        )
    block_frames = BLOCK_FRAMES if chosen is None else chosen.block_frames
    check_blocks(wanted.chunk_frames, block_frames)

    def name(row: int) -> str:
        return utterance_id_at(corpus.frames.storage, corpus.attributes, row)

    plan = plan_tasks(surveyed, published, wanted.shard_frames, block_frames, name)
    present = len(rows) - plan.utterances
    if not plan.utterances:
        return Forecast(present)

    order, fit_seconds, fitted = sampling_order(len(rows)), 0.0, 0
    if chosen is None:
        assert isinstance(codec, FittedToSample)
        started = time.monotonic()
        frames = min(SAMPLE_FRAMES, round(_FITTED * plan.frames))
        sample = take_sample(source, rows, frames=frames)
        chosen = codec.fit(sample)
        fit_seconds = time.monotonic() - started
        fitted = len(sample)
    numbers = _numbers(order, fitted, plan, rows, sample_frames)
    trial = try_out(source, chosen, wanted, *rows.take(numbers))
    return Forecast(
        present=present,
        utterances=plan.utterances,
        frames=plan.frames,
        shards=len(plan.units),
        hours=plan.frames * wanted.frame_shift / 3600,
        track_bytes=trial.track_bytes(plan.frames, len(plan.units)),
        codec_bytes=0 if found else sum(it.size for it in trial.store.attributes.codec_arrays.values()),
        manifest_bytes=trial.manifest_bytes(plan.utterances, len(plan.units)),
        fit_seconds=fit_seconds,
        frames_per_second=trial.frames_per_second,
        sample_utterances=len(numbers),
        sample_frames=trial.frames,
        unknown=not np.isin(numbers, order[:fitted]).any(),
        kl=trial.store.certificate().kl,
    )


def _there(
    storage: Storage | None, asked: Codec | FittedToSample, wanted: Attributes
) -> tuple[Codec | None, Attributes | None]:
    """The codec, None if it is yet to be fitted; and the attributes of the store, None if there is none."""
    codec = None if isinstance(asked, FittedToSample) else asked
    if storage is None:
        return codec, None
    try:
        found = read_attributes(storage)
    except NotAStoreError:
        return codec, None
    if isinstance(asked, FittedToSample):
        codec = stored_codec(storage, asked)
    assert codec is not None
    check_belongs(found, with_codec(wanted, codec), storage.url)
    return codec, found


def _numbers(order: NDArray[np.int64], fitted: int, plan: Plan, rows: Rows, frames: int) -> NDArray[np.int64]:
    """Utterances for the trial, rising: missing ones, if there are any, such as no codec was fitted to."""
    # Of very many utterances the order has only some, and what is missing need not be among them.
    places = (order[fitted:], order, plan.rows(int(plan.units[0])))
    chosen = next(missing for part in places if len(missing := part[plan.missing.has(part)]))
    count = reached = 0
    while not count or (reached < frames and count < len(chosen)):
        reached += rows.take(chosen[count : count + 1])[0]["num_frames"][0].as_py()
        count += 1
    return np.sort(chosen[:count])
