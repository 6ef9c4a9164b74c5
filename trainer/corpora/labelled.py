"""Utterances that come with a senone for every frame → a corpus on disk.

What `trainer.corpora.build` does for speech that has yet to be aligned and tied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore.codecs import TrackSpec
from softstore.columns import Columns
from softstore.errors import ConflictError, InvalidInputError, NotAStoreError
from softstore.format import FEATURES, LABELS, SHARD_FRAMES, Attributes
from softstore.metadata import canonical_json
from softstore.parts import read_attributes
from softstore.planner import plan_shards
from softstore.sharding import crc32c
from softstore.storage import Storage, open_storage
from softstore.tracks import label_track
from softstore.writer import Writer, create
from trainer.corpora.source import Rejected

SPLITS = ("train", "cv", "test")
LARGEST_SENONE = 65_535

Progress = Callable[[str, int, int], None]
"""Called with (stage, utterances done, utterances to do)."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One utterance.

    Attributes:
        labels: senone of each frame: shape (frames,), integers.
        described: what a row of its features is, the same for every utterance of a corpus; at least its
            ``dimensions`` and ``frame_shift_ms``.
        read: its features: shape (frames, dimensions), float32.
    """

    utterance_id: str
    speaker: str
    split: str
    text: str
    labels: NDArray[np.integer]
    described: Mapping[str, Any]
    read: Callable[[], NDArray[np.float32]]


@dataclass(slots=True)
class Found:
    """What was found of a corpus: utterances, in the order they are to be stored in, and what is left out."""

    utterances: list[Labelled] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def add(self, utterance: Labelled, frames: int) -> None:
        """Take an utterance, or reject it where its labels do not fit so many frames of features."""
        labels = len(utterance.labels)
        if frames < 1 or utterance.described["dimensions"] < 1:
            reason = "no frames"
        elif frames > SHARD_FRAMES:
            reason = f"too long: {frames:,} frames, a shard has room for {SHARD_FRAMES:,}"
        elif frames != labels:
            reason = f"the alignment does not fit: {frames:,} frames, {labels:,} labels"
            if 2 * labels < frames:
                reason += "; each frame needs one, so align with a model that does not subsample"
        else:
            self.utterances.append(utterance)
            return
        self.reject(utterance.utterance_id, reason)

    def reject(self, utterance_id: str, reason: str) -> None:
        self.rejected.append(Rejected(utterance_id, reason))


def write_labelled(
    name: str,
    found: Found,
    url: str,
    *,
    senones: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> bool:
    """Write a corpus; False if it lies there already, finished.

    One that an interrupted call left unfinished is finished, if it is of the same utterances and labels. What
    was left out is recorded in its attributes (``corpus.rejected``).

    Args:
        name: recorded as the corpus's.
        url: a path or s3:// URL.
        senones: the class count; None: one more than the largest label.

    Raises:
        ConflictError: something else lies at that place already.
        InvalidInputError: there is nothing to train on, an utterance is there twice, features are not all
            alike or not finite, or a label is no senone.
        CorruptDataError: features cannot be read.
    """
    attributes = _attributes(name, found, senones)
    plans = plan_shards(((u.utterance_id, len(u.labels)) for u in found.utterances), attributes.shard_frames)
    writer = _open_or_create(open_storage(url, writable=True), attributes)
    if writer is None:
        return False
    writer.allocate(len(plans))
    remaining = iter(found.utterances)
    done, total = 0, len(found.utterances)
    for plan in plans:
        progress("Writing utterances", done, total)
        utterances = [next(remaining) for _ in plan.utterance_ids]
        if not writer.is_published(plan.shard):
            _write(writer, plan.shard, utterances)
        done += len(utterances)
    progress("Writing utterances", done, total)
    writer.finish()
    return True


def _attributes(name: str, found: Found, senones: int | None) -> Attributes:
    _check(found)
    labels = [utterance.labels for utterance in found.utterances]
    largest = max(int(row.max()) for row in labels)
    if largest > LARGEST_SENONE:
        raise InvalidInputError(f"A label is {largest:,}: there can be no more than 65,536 senones.")
    class_count = largest + 1 if senones is None else senones
    if class_count < 2:
        raise InvalidInputError("No label is above 0, and one senone is none to learn: are these pdf-ids?")
    columns, checksum = Columns(), 0
    for utterance, row in zip(found.utterances, labels, strict=True):
        checked = label_track(row, len(row), class_count, utterance.utterance_id)
        checksum = crc32c(canonical_json(columns.check(_row(utterance))) + checked.tobytes(), checksum)
    members = {split: [u for u in found.utterances if u.split == split] for split in SPLITS}
    described = dict(found.utterances[0].described)
    return Attributes(
        kind="corpus",
        frame_shift=described["frame_shift_ms"] / 1000,
        class_count=class_count,
        tracks={FEATURES: TrackSpec("float32", described["dimensions"]), LABELS: TrackSpec("uint16")},
        features=described,
        corpus={
            "name": name,
            "utterances": {split: len(there) for split, there in members.items()},
            "speakers": {split: len({u.speaker for u in there}) for split, there in members.items()},
            "rejected": [asdict(entry) for entry in found.rejected],
            "utterances_crc32c": checksum,
        },
        created_by=f"softstore {version('softstore')}",
    )


def _check(found: Found) -> None:
    if not any(utterance.split == "train" for utterance in found.utterances):
        reason = f"; {found.rejected[0].utterance_id}: {found.rejected[0].reason}" if found.rejected else ""
        raise InvalidInputError(
            f"No utterance can be used in the train split, {len(found.rejected)} of all are left out{reason}."
        )
    first = found.utterances[0]
    for other in found.utterances:
        if other.described != first.described:
            raise InvalidInputError(
                f"Features are not all alike: {first.utterance_id!r} has {dict(first.described)}, "
                f"{other.utterance_id!r} has {dict(other.described)}; make them with one configuration."
            )


def _open_or_create(storage: Storage, attributes: Attributes) -> Writer | None:
    """None where this corpus is there, finished."""
    try:
        there = read_attributes(storage)
    except NotAStoreError:
        return create(storage, attributes)
    decisive = ("kind", "frame_shift", "class_count", "tracks", "features", "corpus")
    if any(getattr(there, name) != getattr(attributes, name) for name in decisive):
        raise ConflictError(
            f"{storage.url} holds another corpus or store, or one that was begun from other utterances or "
            "labels: choose another place, or remove it."
        )
    return None if there.complete is not None else Writer(storage, there)


def _write(writer: Writer, shard: int, utterances: Sequence[Labelled]) -> None:
    attributes = writer.attributes
    rows = [{**_row(utterance), "num_frames": len(utterance.labels)} for utterance in utterances]
    features = [_features(utterance, attributes) for utterance in utterances]
    labels = [utterance.labels.astype(np.uint16) for utterance in utterances]
    writer.write_shard(shard, rows, {FEATURES: np.concatenate(features), LABELS: np.concatenate(labels)})


def _row(utterance: Labelled) -> dict[str, str]:
    return {
        "utterance_id": utterance.utterance_id,
        "speaker": utterance.speaker,
        "split": utterance.split,
        "text": utterance.text,
    }


def _features(utterance: Labelled, attributes: Attributes) -> NDArray[np.float32]:
    features, wanted = utterance.read(), (len(utterance.labels), attributes.tracks[FEATURES].width)
    if features.shape != wanted:
        raise InvalidInputError(
            f"The features of {utterance.utterance_id!r} have the shape {features.shape}, not {wanted}."
        )
    if not np.isfinite(features).all():
        raise InvalidInputError(
            f"The features of {utterance.utterance_id!r} are not finite: make them anew, or leave it out."
        )
    return features
