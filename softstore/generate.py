"""The teacher inference job: a corpus and a teacher in, a store of soft targets out.

Every utterance goes through the teacher alone, so its posteriors do not depend on how a run was cut into
shards or resumed. Running the job again computes only what is not published yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from softstore import format as layout
from softstore.codecs import Codec, FittedToSample
from softstore.corpus import Corpus
from softstore.errors import ConflictError, InvalidInputError
from softstore.format import Attributes
from softstore.inference import Inference
from softstore.manifest import Manifest
from softstore.parts import read_parts
from softstore.planner import plan_shards
from softstore.publishing import CREATED_BY, open_or_create, publish, with_codec
from softstore.sampling import stored_codec, take_sample
from softstore.softening import CERTIFICATE_TEMPERATURES
from softstore.storage import Storage
from softstore.teacher import Teacher


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run did.

    Attributes:
        utterances, frames, shards: written by this run.
        present: utterances of the corpus that were there before.
        seconds: wall-clock time of the run.
    """

    utterances: int
    frames: int
    shards: int
    present: int
    seconds: float


Progress = Callable[[int, int], None]
"""Called with (frames done, frames to do) of this run."""


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
    started = time.monotonic()
    if isinstance(codec, FittedToSample):
        codec = stored_codec(storage, codec) or codec.fit(take_sample(corpus, teacher))
    wanted = store_attributes(corpus, teacher, codec, shard_frames, chunk_frames)
    writer = open_or_create(storage, wanted, codec.arrays())
    published = Manifest(read_parts(storage, writer.attributes))
    _check_same_features(corpus, published)
    lengths = corpus.manifest.by_utterance("num_frames")
    missing = [(name, frames) for name, frames in lengths.items() if name not in published]
    plans = plan_shards(
        missing, writer.attributes.shard_frames, published.shards, writer.attributes.block_frames
    )
    total = sum(plan.frames for plan in plans)
    done = 0
    writer.allocate(max((plan.shard + 1 for plan in plans), default=0))
    inference = Inference(corpus, teacher, codec, tuple(writer.attributes.certificate_temperatures))
    for plan in plans:
        finished = []
        for utterance in inference.run(plan.utterance_ids):
            finished.append(utterance)
            done += utterance.frames
            progress(done, total)
        publish(writer, plan.shard, finished)
    writer.finish(Manifest(read_parts(storage, writer.attributes)) if plans else published)
    seconds = time.monotonic() - started
    return Summary(len(missing), total, len(plans), len(lengths) - len(missing), seconds)


def store_attributes(
    corpus: Corpus, teacher: Teacher, codec: Codec, shard_frames: int, chunk_frames: int
) -> Attributes:
    """The attributes of a new store of this teacher's posteriors over this corpus.

    Raises:
        ConflictError: teacher and corpus do not have the same classes, or the corpus is unfinished.
    """
    source = corpus.attributes
    if source.complete is None:
        raise ConflictError(f"{corpus.url} is unfinished: run the command that makes it again first.")
    if teacher.class_count != corpus.class_count:
        raise ConflictError(
            f"The teacher has {teacher.class_count} classes, {corpus.url} has {corpus.class_count} senones: "
            "use the corpus the teacher was trained on."
        )
    if shard_frames % chunk_frames:
        raise InvalidInputError(
            f"Shards of {shard_frames} frames cannot be cut into chunks of {chunk_frames}."
        )
    attributes = Attributes(
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
    return with_codec(attributes, codec)


def _check_same_features(corpus: Corpus, published: Manifest) -> None:
    stored = published.by_utterance("features_crc32c")
    for utterance_id, checksum in corpus.manifest.by_utterance("features_crc32c").items():
        if stored.get(utterance_id, checksum) != checksum:
            raise ConflictError(
                f"Utterance {utterance_id!r} of {corpus.url} has other features than the stored one: "
                "generate into a new store."
            )
