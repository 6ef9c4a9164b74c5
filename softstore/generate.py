"""The teacher inference job: a corpus and a teacher in, a store of soft targets out."""

from __future__ import annotations

from softstore import format as layout
from softstore.codecs import Codec, FittedToSample
from softstore.corpus import Corpus
from softstore.errors import ConflictError
from softstore.filling import Progress, Summary, fill
from softstore.format import Attributes
from softstore.inference import Inference
from softstore.publishing import CREATED_BY, check_chunks
from softstore.softening import CERTIFICATE_TEMPERATURES
from softstore.storage import Storage
from softstore.teacher import Teacher


def generate(
    corpus: Corpus,
    teacher: Teacher,
    storage: Storage,
    codec: Codec | FittedToSample,
    *,
    shard_frames: int = layout.SHARD_FRAMES,
    chunk_frames: int = layout.CHUNK_FRAMES,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Store the teacher's posteriors of every utterance of the corpus that the store does not have yet.

    Args:
        codec: how a new store keeps them, or what to fit a codec for, to a sample of the teacher's outputs; a
            store that is there keeps the codec that was fitted for the same.

    Raises:
        ConflictError: the store was made by another teacher, codec or corpus.
        InvalidInputError: an utterance does not fit a shard, or the teacher's output is not usable.
    """
    wanted = store_attributes(corpus, teacher, shard_frames, chunk_frames)
    return fill(Inference(corpus, teacher), storage, codec, wanted, progress)


def store_attributes(corpus: Corpus, teacher: Teacher, shard_frames: int, chunk_frames: int) -> Attributes:
    """The attributes of a new store of this teacher's posteriors over this corpus, without the codec's.

    Raises:
        ConflictError: teacher and corpus do not have the same classes, or the corpus is unfinished.
        InvalidInputError: shards are not whole chunks.
    """
    source = corpus.attributes
    if source.complete is None:
        raise ConflictError(f"{corpus.url} is unfinished: run the command that makes it again first.")
    if teacher.class_count != corpus.class_count:
        raise ConflictError(
            f"The teacher has {teacher.class_count} classes, {corpus.url} has {corpus.class_count} senones: "
            "use the corpus the teacher was trained on."
        )
    check_chunks(shard_frames, chunk_frames)
    return Attributes(
        kind="soft_targets",
        frame_shift=source.frame_shift,
        shard_frames=shard_frames,
        chunk_frames=chunk_frames,
        class_count=teacher.class_count,
        tracks=source.tracks,
        certificate_temperatures=list(CERTIFICATE_TEMPERATURES),
        teacher=layout.Teacher(fingerprint=teacher.fingerprint, description=dict(teacher.description)),
        features=source.features,
        corpus=source.corpus,
        created_by=CREATED_BY,
    )
