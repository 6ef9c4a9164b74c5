"""Utterances read in runs of neighbours, ahead of their use: sequential scans and shuffled epochs.

A run costs one request per track for thousands of frames, and other threads read the next ones meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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


def cut_runs(
    first_frames: NDArray[np.int64], stops: NDArray[np.int64], shard_frames: int, run_frames: int = RUN_FRAMES
) -> list[int]:
    """The first utterance of each run, of utterances in stored order.

    Args:
        first_frames, stops: the rows that each utterance occupies, whole blocks.
    """
    shards = first_frames // shard_frames
    apart = (first_frames[1:] != stops[:-1]) | (shards[1:] != shards[:-1])
    begins: list[int] = []
    start = 0
    for number, (first, stop, new) in enumerate(
        zip(first_frames.tolist(), stops.tolist(), [True, *apart.tolist()], strict=False)
    ):
        if new or stop - start > run_frames:
            begins.append(number)
            start = first
    return begins


def occupied(num_frames: NDArray[np.integer[Any]], block_frames: int) -> NDArray[np.int64]:
    """How many rows utterances of so many frames occupy: whole blocks."""
    return -(-num_frames.astype(np.int64) // block_frames) * block_frames


def plan_runs(utterances: pa.Table, attributes: Attributes, run_frames: int = RUN_FRAMES) -> list[Run]:
    """Cut manifest rows, in stored order, into runs of at most ``run_frames`` frames.

    An utterance that is longer is a run of its own.
    """
    utterances = utterances.combine_chunks()
    first_frames = utterances["first_frame"].to_numpy()
    stops = first_frames + occupied(utterances["num_frames"].to_numpy(), attributes.block_frames)
    begins = cut_runs(first_frames, stops, attributes.shard_frames, run_frames)
    runs = []
    for begin, end in pairwise([*begins, len(utterances)]):
        first = int(first_frames[begin])
        runs.append(Run(first, int(stops[end - 1]) - first, utterances.slice(begin, end - begin)))
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
