"""One face for our codecs and other people's layouts: utterances → bytes on disk → utterances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.layouts import Layout
from softstore.certificate import measure
from softstore.codec_arrays import encode_codec_array
from softstore.codecs import Codec, TopK, TrackSpec, Transform
from softstore.codecs.unpacked import span
from softstore.escalation import hold_to_bound
from softstore.format import CHUNK_FRAMES, SHARD_FRAMES
from softstore.planner import padded_frames, plan_shards
from softstore.sharding import ShardIndex, encode_shard, index_bytes
from softstore.softening import CERTIFICATE_TEMPERATURES

RUN_FRAMES = 4096
"""Our utterances are read in runs of neighbours up to this long, as scans do."""


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring utterances that are read together.

    Attributes:
        utterances: their numbers.
        read: T → log p_T of each, (frames, classes), float32.
    """

    utterances: range
    read: Callable[[float], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing some utterances.

    Attributes:
        size: bytes on disk that grow with the number of frames.
        once: bytes on disk that do not.
        parts: all utterances, in order.
    """

    size: int
    once: int
    parts: list[Part]


class Contender(Protocol):
    """A way to store posteriors.

    Attributes:
        family: of contenders that differ in size only.
        kept: how many classes of each frame; 0: all.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def kept(self) -> int: ...

    def write(self, utterances: Sequence[Tensor], pool: Executor) -> Written:
        """All utterances, (frames, classes) each, as on disk; side by side in the threads of ``pool``."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """Another's layout: one piece of data an utterance."""

    layout: Layout

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def family(self) -> str:
        return self.layout.family

    @property
    def kept(self) -> int:
        return self.layout.kept

    def write(self, utterances: Sequence[Tensor], pool: Executor) -> Written:
        pieces = list(pool.map(self.layout.encode, utterances))
        classes = utterances[0].shape[1]
        parts = [
            Part(range(number, number + 1), partial(self._read, piece, classes))
            for number, piece in enumerate(pieces)
        ]
        return Written(sum(len(piece) for piece in pieces), 0, parts)

    def _read(self, piece: bytes, classes: int, temperature: float) -> list[Tensor]:
        return [self.layout.decode(piece, classes, temperature)]


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our codecs: whole shard objects, read in runs of neighbouring utterances."""

    name: str
    codec: Codec

    @property
    def family(self) -> str:
        return self.codec.name

    @property
    def kept(self) -> int:
        return self.codec.k if isinstance(self.codec, TopK) else 0

    def write(self, utterances: Sequence[Tensor], pool: Executor) -> Written:
        classes = utterances[0].shape[1]
        tracks = self.codec.tracks(classes)
        encoded = list(pool.map(self._encode, utterances))
        rows = [padded_frames(len(utterance), self.codec.block_frames) for utterance in utterances]
        numbered = [(str(number), frames) for number, frames in enumerate(rows)]
        size, first, parts = 0, 0, []
        for plan in plan_shards(numbered, SHARD_FRAMES):
            numbers = range(first, first + len(plan.utterance_ids))
            whole = [np.concatenate([encoded[number][track] for number in numbers]) for track in tracks]
            shards = list(pool.map(_Shard.of, tracks.values(), whole))
            size += sum(len(shard.data) for shard in shards)
            by_track = dict(zip(tracks, shards, strict=True))
            start, first_overflow = 0, 0
            for run in _runs(numbers, rows):
                lengths = [len(utterances[number]) for number in run]
                places = start + np.cumsum([0, *(rows[number] for number in run)])
                escalated = [len(encoded[number].get("overflow_classes", ())) for number in run]
                overflow = first_overflow + np.cumsum([0, *escalated])
                first_overflow = int(overflow[-1])
                parts.append(Part(run, partial(self._read, by_track, places, overflow, lengths, classes)))
                start = int(places[-1])
            first = numbers.stop
        once = sum(len(encode_codec_array(name, array)[1]) for name, array in self.codec.arrays().items())
        return Written(size, once, parts)

    def _encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        encoded = self.codec.encode(log_posteriors)
        if isinstance(self.codec, Transform) and self.codec.max_kl is not None:
            # A bound is kept by measuring, which is part of the work.
            measured = measure(self.codec, encoded, log_posteriors, CERTIFICATE_TEMPERATURES)
            return hold_to_bound(self.codec, encoded, log_posteriors, CERTIFICATE_TEMPERATURES, measured.kl)
        return encoded

    def _read(
        self,
        shards: dict[str, _Shard],
        places: NDArray[np.int64],
        overflow: NDArray[np.int64],
        lengths: Sequence[int],
        classes: int,
        temperature: float,
    ) -> list[Tensor]:
        """Utterances whose rows begin at ``places``, and those of ragged tracks at ``overflow``."""
        begins = {track: overflow if shard.spec.ragged else places for track, shard in shards.items()}
        rows = {
            track: shard.rows(int(begins[track][0]), int(begins[track][-1]))
            for track, shard in shards.items()
        }
        decoded = []
        for number, length in enumerate(lengths):
            stored = {}
            for track, array in rows.items():
                start, stop = begins[track][number : number + 2] - begins[track][0]
                stored[track] = array[start:stop]
            unpacked = span(self.codec.unpack(stored), 0, length)
            decoded.append(self.codec.decode(unpacked, classes, temperature))
        return decoded


@dataclass(frozen=True, slots=True)
class _Shard:
    """One shard object of one track, in memory."""

    spec: TrackSpec
    data: bytes
    index: ShardIndex

    @classmethod
    def of(cls, spec: TrackSpec, rows: NDArray[np.generic]) -> _Shard:
        shard_rows = spec.shard_rows(SHARD_FRAMES)
        data = encode_shard(rows, shard_rows, CHUNK_FRAMES, spec.chunk_width)
        columns = (spec.width or 1) // (spec.chunk_width or spec.width or 1)
        index = ShardIndex.parse(data[-index_bytes(shard_rows, CHUNK_FRAMES, columns) :], "shard", columns)
        return cls(spec, data, index)

    def rows(self, start: int, stop: int) -> Tensor:
        if start == stop:
            return torch.from_numpy(np.empty((0, self.spec.width or 1), self.spec.dtype))
        first, last = start // CHUNK_FRAMES, (stop - 1) // CHUNK_FRAMES
        offset, length = self.index.span(first, last)
        width = self.spec.chunk_width or self.spec.width
        shape = (CHUNK_FRAMES,) if width is None else (CHUNK_FRAMES, width)
        span = memoryview(self.data)[offset : offset + length]
        rows = self.index.decode(span, first, last, shape, np.dtype(self.spec.dtype))
        begin = first * CHUNK_FRAMES
        return torch.from_numpy(rows[start - begin : stop - begin])


def _runs(numbers: range, rows: Sequence[int]) -> Iterator[range]:
    """Cut utterances into runs of at most `RUN_FRAMES` rows, but of one utterance at least."""
    first, frames = numbers.start, 0
    for number in numbers:
        if number > first and frames + rows[number] > RUN_FRAMES:
            yield range(first, number)
            first, frames = number, 0
        frames += rows[number]
    yield range(first, numbers.stop)
