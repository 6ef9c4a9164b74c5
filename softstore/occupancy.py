"""Which rows of a shard its utterances' frames occupy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from softstore.codecs import TrackSpec
from softstore.errors import InvalidInputError
from softstore.format import TARGETS
from softstore.planner import padded_frames


class Occupancy:
    """Where utterances lie in a shard.

    Attributes:
        spans: the rows of each utterance's frames.
        frames: of all utterances.
        padded: rows that they occupy.
    """

    def __init__(self, lengths: Sequence[int], block_frames: int) -> None:
        self.spans: list[slice] = []
        self.padded = 0
        for frames in lengths:
            self.spans.append(slice(self.padded, self.padded + frames))
            self.padded += padded_frames(frames, block_frames)
        self.frames = sum(lengths)

    def rows(
        self, track: str, spec: TrackSpec, given: NDArray[np.generic] | None, shard_frames: int
    ) -> NDArray[np.generic]:
        """A track's rows as they are to lie in the shard: of the track's dtype, padded where they were not.

        Raises:
            InvalidInputError: they are not there, of another width, or not as many as the utterances have.
        """
        if given is None:
            raise InvalidInputError(f"A shard was to be written without its {track} track.")
        array = np.asarray(given, spec.dtype)
        width = () if spec.width is None else (spec.width,)
        if array.shape[1:] != width:
            raise InvalidInputError(f"Rows of the {track} track have shape {array.shape[1:]}, not {width}.")
        if spec.ragged:
            room = spec.shard_rows(shard_frames)
            if len(array) > room:
                raise InvalidInputError(
                    f"The {track} track has {len(array)} rows, a shard has room for {room}."
                )
            return array
        if len(array) == self.padded <= shard_frames:
            return array
        if len(array) != self.frames or self.padded > shard_frames or track.startswith(f"{TARGETS}/"):
            raise InvalidInputError(
                f"The {track} track has {len(array)} rows for {self.frames} frames, which occupy "
                f"{self.padded} of a shard's {shard_frames}."
            )
        padded = np.zeros((self.padded, *width), array.dtype)
        start = 0
        for span in self.spans:
            stop = start + span.stop - span.start
            padded[span] = array[start:stop]
            start = stop
        return padded
