"""The teacher inference job: a corpus and a teacher in, a store of soft targets out.

Every utterance goes through the teacher alone, so its posteriors do not depend on how a run was cut into
shards or resumed. Running the job again computes only what is not published yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from softstore import format as layout
from softstore.codecs import Codec
from softstore.corpus import Corpus
from softstore.errors import ConflictError, InvalidInputError, NotAStoreError
from softstore.format import Attributes
from softstore.frames import read_attributes, read_manifest_parts
from softstore.inference import EncodedUtterance, Inference
from softstore.manifest import Manifest
from softstore.planner import ShardPlan, plan_shards
from softstore.softening import CERTIFICATE_TEMPERATURES
from softstore.storage import Storage
from softstore.teacher import Teacher
from softstore.writer import Writer, create

CREATED_BY = f"softstore {version('softstore')}"


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
    codec: Codec,
    *,
    shard_frames: int = layout.SHARD_FRAMES,
    chunk_frames: int = layout.CHUNK_FRAMES,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Store the teacher's posteriors of every utterance of the corpus that the store does not have yet.

    Raises:
        ConflictError: the store was made by another teacher, codec or corpus.
        InvalidInputError: an utterance does not fit a shard, or the teacher's output is not usable.
    """
    started = time.monotonic()
    wanted = store_attributes(corpus, teacher, codec, shard_frames, chunk_frames)
    writer = _open_or_create(storage, wanted)
    published = Manifest(read_manifest_parts(storage, writer.attributes.shards))
    _check_same_features(corpus, published)
    lengths = corpus.manifest.by_utterance("num_frames")
    missing = [(name, frames) for name, frames in lengths.items() if name not in published]
    plans = plan_shards(missing, writer.attributes.shard_frames, published.shards)
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
        _publish(writer, plan, finished)
    writer.finish(Manifest(read_manifest_parts(storage, writer.attributes.shards)) if plans else published)
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
    targets = {f"{layout.TARGETS}/{name}": spec for name, spec in codec.tracks(teacher.class_count).items()}
    return Attributes(
        kind="soft_targets",
        frame_shift=source.frame_shift,
        shard_frames=shard_frames,
        chunk_frames=chunk_frames,
        class_count=teacher.class_count,
        tracks=source.tracks | targets,
        codec=codec.config(),
        certificate_temperatures=list(CERTIFICATE_TEMPERATURES),
        teacher=layout.Teacher(fingerprint=teacher.fingerprint, description=dict(teacher.description)),
        features=source.features,
        corpus=source.corpus,
        created_by=CREATED_BY,
    )


def _open_or_create(storage: Storage, wanted: Attributes) -> Writer:
    try:
        found = read_attributes(storage)
    except NotAStoreError:
        return create(storage, wanted)
    if found.kind != "soft_targets":
        raise NotAStoreError(f"{storage.url} is a corpus: choose another place for the soft targets.")
    stored, now = _identity(found), _identity(wanted)
    differing = [
        f"{name} (stored {_brief(stored[name])}, now {_brief(now[name])})"
        for name in stored
        if stored[name] != now[name]
    ]
    if differing:
        raise ConflictError(
            f"{storage.url} was made with another {', another '.join(differing)}: "
            "generate into a new store, or use what it was made with."
        )
    return Writer(storage, found)


def _identity(attributes: Attributes) -> dict[str, Any]:
    """What must not differ between two runs into one store; JSON values."""
    identity = attributes.model_dump(
        mode="json", include={"class_count", "codec", "features", "tracks", "frame_shift"}
    )
    return identity | {"teacher": attributes.teacher and attributes.teacher.fingerprint[:12]}


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _check_same_features(corpus: Corpus, published: Manifest) -> None:
    stored = published.by_utterance("features_crc32c")
    for utterance_id, checksum in corpus.manifest.by_utterance("features_crc32c").items():
        if stored.get(utterance_id, checksum) != checksum:
            raise ConflictError(
                f"Utterance {utterance_id!r} of {corpus.url} has other features than the stored one: "
                "generate into a new store."
            )


def _publish(writer: Writer, plan: ShardPlan, utterances: list[EncodedUtterance]) -> None:
    tracks = {
        track: np.concatenate([utterance.tracks[track] for utterance in utterances])
        for track in writer.attributes.tracks
    }
    histogram = {
        temperature: np.sum(
            [utterance.kl_histogram[temperature] for utterance in utterances], axis=0
        ).tolist()
        for temperature in utterances[0].kl_histogram
    }
    writer.write_shard(plan.shard, [utterance.row for utterance in utterances], tracks, histogram)
