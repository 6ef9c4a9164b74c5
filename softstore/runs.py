"""Utterances read in runs of neighbours, ahead of their use: sequential scans and shuffled epochs.

A run costs one request per track for thousands of frames, and other threads read the next ones meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.errors import CorruptDataError
from softstore.format import Attributes
from softstore.frames import Frames
from softstore.reading_ahead import read_ahead

RUN_FRAMES = 4096
"""A run ends before it would grow longer than this."""


@dataclass(frozen=True, slots=True)
class Run:
    """Utterances side by side in one shard: their rows on the frame axis and in the manifest."""

    first_frame: int
    num_frames: int
    utterances: pa.Table


def plan_runs(utterances: pa.Table, attributes: Attributes, run_frames: int = RUN_FRAMES) -> list[Run]:
    """Cut manifest rows, in stored order, into runs of at most ``run_frames`` frames.

    An utterance that is longer is a run of its own.
    """
    utterances = utterances.combine_chunks()
    first_frames = utterances["first_frame"].to_numpy()
    blocks = -(-utterances["num_frames"].to_numpy().astype(np.int64) // attributes.block_frames)
    starts, stops = first_frames.tolist(), (first_frames + blocks * attributes.block_frames).tolist()
    shards = (first_frames // attributes.shard_frames).tolist()
    runs: list[Run] = []
    begin = 0
    for row in range(1, len(starts) + 1):
        if (
            row == len(starts)
            or starts[row] != stops[row - 1]
            or shards[row] != shards[begin]
            or stops[row] - starts[begin] > run_frames
        ):
            length = stops[row - 1] - starts[begin]
            runs.append(Run(starts[begin], length, utterances.slice(begin, row - begin)))
            begin = row
    return runs


class HeldFrames:
    """The face of `Frames` to the utterances of one run, with the tracks that were read ahead in memory."""

    def __init__(self, frames: Frames, run: Run, wanted: dict[str, None]) -> None:
        self._frames = frames
        self._first = run.first_frame
        self._wanted = wanted
        try:
            self._held = frames.read_together(list(wanted), run.first_frame, run.num_frames)
        except CorruptDataError:
            # Those of its utterances that are whole must still read, the others say what is damaged.
            self._held = {}

    @property
    def attributes(self) -> Attributes:
        return self._frames.attributes

    def read(self, track: str, first_frame: int, num_frames: int) -> NDArray[np.generic]:
        """As `Frames.read`; a track that is not held will be in the runs to come."""
        if track not in self._held:
            spec = self.attributes.tracks.get(track)
            if spec is not None and not spec.ragged:
                self._wanted[track] = None
            return self._frames.read(track, first_frame, num_frames)
        start = first_frame - self._first
        return self._held[track][start : start + num_frames]

    def read_together(
        self, tracks: Sequence[str], first_frame: int, num_frames: int
    ) -> dict[str, NDArray[np.generic]]:
        """As `Frames.read_together`."""
        return {track: self.read(track, first_frame, num_frames) for track in tracks}


def scan_runs(frames: Frames, utterances: pa.Table) -> Iterator[tuple[HeldFrames, pa.Table]]:
    """The runs of some manifest rows, each with its frames.

    Whatever tracks are read from the first run are read ahead for those that follow.
    """
    wanted: dict[str, None] = {}
    runs = plan_runs(utterances, frames.attributes)
    return read_ahead(
        lambda run: (HeldFrames(frames, run, wanted), run.utterances), runs, frames.read_threads
    )
