"""What a store or corpus holds, summed up from its manifest; nothing else is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
    """Count what is published."""
    manifest, attributes = frames.manifest, frames.attributes
    table = manifest.table
    splits = {}
    for split in pc.unique(table["split"]).to_pylist():
        part = manifest.where(split=split)
        speakers = len(pc.unique(part["speaker"]))
        splits[split] = SplitSize(len(part), speakers, int(np.sum(part["num_frames"].to_numpy())))
    track_bytes = dict.fromkeys(attributes.tracks, 0)
    for path, entry in manifest.objects.items():
        track_bytes[path.rpartition("/c/")[0]] += entry.size
    targets = sum(size for track, size in track_bytes.items() if track.startswith(f"{TARGETS}/"))
    per_frame = targets / manifest.frames if targets else None
    return Inventory(
        utterances=len(manifest),
        frames=manifest.frames,
        hours=manifest.frames * attributes.frame_shift / 3600,
        shards=len(manifest.shards),
        splits=splits,
        track_bytes=track_bytes,
        codec_bytes=sum(array.size for array in attributes.codec_arrays.values()),
        target_bytes_per_frame=per_frame,
        ratio_to_float32=FLOAT32_BYTES * attributes.class_count / per_frame if per_frame else None,
    )
