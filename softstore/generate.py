"""The teacher inference job: a corpus and a teacher in, a store of soft targets out."""

from __future__ import annotations

from collections.abc import Sequence

from softstore import format as layout
from softstore.codecs import Codec, FittedToSample
from softstore.corpus import Corpus
from softstore.errors import ConflictError
from softstore.filling import Crew, Summary, fill
from softstore.format import Attributes
from softstore.inference import Inference
from softstore.progress import Progress, silent
from softstore.provenance import new_run
from softstore.publishing import CREATED_BY, check_chunks
from softstore.shard_maker import OnError
from softstore.softening import CERTIFICATE_TEMPERATURES
from softstore.storage import Storage
from softstore.teacher import Teacher

GPU_BATCH_FRAMES = 8192
"""Utterances of so many frames together go through a teacher on a GPU at once."""


def generate(
    corpus: Corpus,
    teacher: Teacher,
    storage: Storage,
    codec: Codec | FittedToSample,
    *,
    shard_frames: int = layout.SHARD_FRAMES,
    chunk_frames: int = layout.CHUNK_FRAMES,
    device: str = "cpu",
    crew: Crew | None = None,
    on_error: OnError = OnError.STOP,
    command: Sequence[str] = ("softstore.generate",),
    progress: Progress = silent,
) -> Summary:
    """Store the teacher's posteriors of every utterance of the corpus that the store does not have yet.

    Run it again after whatever has stopped it: finished shards are never made again. Runs over the same
    corpus may work side by side, also on different machines.

    Args:
        codec: how a new store keeps them, or what to fit a codec for, to a sample of the teacher's outputs; a
            store that is there keeps the codec that was fitted for the same.
        device: that the teacher is on.
        crew: who makes the shards, see `softstore.cluster`; None: this process, with all its processors.
        on_error: what to do about an utterance whose features or posteriors cannot be used.
        command: what is recorded as having asked for this.

    Raises:
        ConflictError: the store was made by another teacher, codec or corpus.
        InvalidInputError: an utterance does not fit a shard, or the teacher's output is not usable.
        CorruptDataError: the corpus is damaged.
        StorageError: the storage refused or did not answer; what was published stays.
    """
    wanted = store_attributes(corpus, teacher, shard_frames, chunk_frames)
    run = new_run(
        command=command,
        teacher=teacher.fingerprint,
        features=corpus.attributes.features,
        device=device,
        workers=0,
    )
    source = Inference(corpus, teacher, batch_frames(device))
    return fill(source, storage, codec, wanted, run=run, crew=crew, on_error=on_error, progress=progress)


def batch_frames(device: str) -> int:
    """Frames of utterances that go through a teacher together.

    On a CPU they go one by one, which is as fast, and makes the posteriors of an utterance independent of
    its neighbours to the last bit.
    """
    return 1 if device == "cpu" else GPU_BATCH_FRAMES


def store_attributes(corpus: Corpus, teacher: Teacher, shard_frames: int, chunk_frames: int) -> Attributes:
    """The attributes of a new store of this teacher's posteriors over this corpus, without the codec's.

    Raises:
        ConflictError: teacher and corpus do not have the same classes, or the corpus is unfinished.
        InvalidInputError: shards are not whole chunks.
    """
    source = corpus.attributes
    if source.complete is None:
        raise ConflictError(f"{corpus.url} is unfinished: run the command that makes it again first.")
    classes = corpus.class_count if teacher.class_count is None else teacher.class_count
    if classes != corpus.class_count:
        raise ConflictError(
            f"The teacher has {classes} classes, {corpus.url} has {corpus.class_count} senones: "
            "use the corpus the teacher was trained on."
        )
    check_chunks(shard_frames, chunk_frames)
    return Attributes(
        kind="soft_targets",
        frame_shift=source.frame_shift,
        shard_frames=shard_frames,
        chunk_frames=chunk_frames,
        class_count=classes,
        tracks=source.tracks,
        certificate_temperatures=list(CERTIFICATE_TEMPERATURES),
        teacher=layout.Teacher(fingerprint=teacher.fingerprint, description=dict(teacher.description)),
        features=source.features,
        corpus=source.corpus,
        created_by=CREATED_BY,
        class_names=source.class_names,
    )
