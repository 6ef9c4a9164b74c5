"""What a store or corpus holds, summed up from its manifest; nothing else is read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from softstore.format import TARGETS
from softstore.frames import Frames

FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class SplitSize:
    """How much of one split there is."""

    utterances: int
    speakers: int
    frames: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """Counts and sizes.

    Attributes:
        hours: of speech.
        splits: by name.
        track_bytes: bytes of each track's objects, indexes included.
        codec_bytes: what the codec needs once.
        target_bytes_per_frame: of the soft targets, without what is needed once; None for a corpus.
        ratio_to_float32: how many times smaller than the same posteriors in float32; None for a corpus.
    """

    utterances: int
    frames: int
    hours: float
    shards: int
    splits: dict[str, SplitSize]
    track_bytes: dict[str, int]
    codec_bytes: int
    target_bytes_per_frame: float | None
    ratio_to_float32: float | None


def inventory(frames: Frames) -> Inventory:
    """Count what is published, a piece of the manifest at a time.

    Raises:
        CorruptDataError: as `Frames.manifest`.
    """
    attributes = frames.attributes
    shards = 0
    splits: dict[str, _Split] = {}
    track_bytes = dict.fromkeys(attributes.tracks, 0)
    for piece in frames.pieces(["shard", "split", "speaker", "num_frames", "objects"]):
        shards += len(piece.shards)
        for split in pc.unique(piece.utterances["split"]).to_pylist():
            chosen = pc.is_in(piece.utterances["split"], pa.array([split], pa.string()))
            splits.setdefault(split, _Split()).add(piece.utterances.filter(chosen))
        objects = pc.list_flatten(piece.shards["objects"])
        for path, size in zip(
            pc.struct_field(objects, "path").to_pylist(),
            pc.struct_field(objects, "size").to_pylist(),
            strict=True,
        ):
            track_bytes[path.rpartition("/c/")[0]] += size
    total = sum(split.frames for split in splits.values())
    targets = sum(size for track, size in track_bytes.items() if track.startswith(f"{TARGETS}/"))
    per_frame = targets / total if targets else None
    return Inventory(
        utterances=sum(split.utterances for split in splits.values()),
        frames=total,
        hours=total * attributes.frame_shift / 3600,
        shards=shards,
        splits={name: split.size() for name, split in splits.items()},
        track_bytes=track_bytes,
        codec_bytes=sum(array.size for array in attributes.codec_arrays.values()),
        target_bytes_per_frame=per_frame,
        ratio_to_float32=FLOAT32_BYTES * attributes.class_count / per_frame if per_frame else None,
    )


@dataclass(slots=True)
class _Split:
    """One split as far as it was counted."""

    utterances: int = 0
    frames: int = 0
    speakers: set[str] = field(default_factory=set)

    def add(self, rows: pa.Table) -> None:
        self.utterances += len(rows)
        self.frames += int(rows["num_frames"].to_numpy().sum(dtype=np.int64))
        self.speakers.update(pc.unique(rows["speaker"]).to_pylist())

    def size(self) -> SplitSize:
        return SplitSize(self.utterances, len(self.speakers), self.frames)
