"""One utterance: its manifest row, features, labels, and (in a store) its posteriors at any temperature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs import Codec
from softstore.codecs.unpacked import OVERFLOW_ROWS, span
from softstore.errors import InvalidInputError
from softstore.format import FEATURES, FIRST_OVERFLOW, LABELS, NUM_OVERFLOW, TARGETS
from softstore.frames import Frames
from softstore.runs import HeldFrames


class TopClasses(NamedTuple):
    """The most probable classes of each frame, by falling probability; both arrays (frames, k)."""

    classes: NDArray[np.int64]
    posteriors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Utterance:
    """An utterance of a corpus or store. Spans are frames ``start`` … ``stop`` (exclusive; None: to the end).

    Attributes:
        row: all its manifest columns.
    """

    frames: Frames | HeldFrames
    row: Mapping[str, Any]

    @property
    def utterance_id(self) -> str:
        return str(self.row["utterance_id"])

    @property
    def num_frames(self) -> int:
        return int(self.row["num_frames"])

    @property
    def speaker(self) -> str:
        return str(self.row["speaker"])

    @property
    def split(self) -> str:
        return str(self.row["split"])

    @property
    def text(self) -> str:
        return str(self.row["text"])

    def features(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Shape (frames, dimensions), float32."""
        return self.read(FEATURES, start, stop).astype(np.float32)

    def labels(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Senone of each frame: shape (frames,), int64."""
        return self.read(LABELS, start, stop).astype(np.int64)

    def read(self, track: str, start: int = 0, stop: int | None = None) -> NDArray[np.generic]:
        """A span of any track as stored.

        Raises:
            InvalidInputError: the span is not 0 ≤ start ≤ stop ≤ num_frames.
            CorruptDataError: bytes are missing or damaged.
        """
        start, stop = self.span(start, stop)
        return self.frames.read(track, int(self.row["first_frame"]) + start, stop - start)

    def span(self, start: int, stop: int | None) -> tuple[int, int]:
        """Where a span begins and ends; ``stop`` None: with the utterance.

        Raises:
            InvalidInputError: it is not 0 ≤ start ≤ stop ≤ num_frames.
        """
        stop = self.num_frames if stop is None else stop
        if not 0 <= start <= stop <= self.num_frames:
            raise InvalidInputError(
                f"{self.utterance_id} has frames 0 to {self.num_frames}, no span from {start} to {stop}."
            )
        return start, stop


@dataclass(frozen=True, slots=True)
class SoftTargets(Utterance, ABC):
    """An utterance with posteriors, at any temperature T: p_T = softmax(log p / T)."""

    @abstractmethod
    def _decode(self, temperature: float, start: int, stop: int, *, log: bool = True) -> Tensor:
        """log p_T, or p_T, of a span that is there: shape (frames, classes), float32."""

    def log_posteriors(
        self, temperature: float = 1.0, start: int = 0, stop: int | None = None
    ) -> NDArray[np.float32]:
        """log p_T in nats: shape (frames, classes), float32, every row normalised.

        Raises:
            InvalidInputError: a temperature that is not finite and at least 0.01, or no such span.
            CorruptDataError: bytes are missing or damaged.
        """
        return self._decode(temperature, *self.span(start, stop)).numpy()

    def posteriors(
        self, temperature: float = 1.0, start: int = 0, stop: int | None = None
    ) -> NDArray[np.float32]:
        """p_T: shape (frames, classes), float32, rows sum to 1; raises as `log_posteriors`."""
        return self._decode(temperature, *self.span(start, stop), log=False).numpy()

    def top_k(self, k: int, temperature: float = 1.0, start: int = 0, stop: int | None = None) -> TopClasses:
        """The ``k`` most probable classes of each frame.

        Raises:
            InvalidInputError: k is not between 1 and the class count; otherwise as `log_posteriors`.
        """
        class_count = self.frames.attributes.class_count
        if not 1 <= k <= class_count:
            raise InvalidInputError(f"top_k must lie between 1 and the {class_count} classes, not {k}.")
        values, classes = self._decode(temperature, *self.span(start, stop)).topk(k, dim=-1)
        return TopClasses(classes.numpy(), values.exp_().numpy())


@dataclass(frozen=True, slots=True)
class StoredUtterance(SoftTargets):
    """An utterance of a store."""

    codec: Codec

    def encoded(self, start: int = 0, stop: int | None = None) -> dict[str, Tensor]:
        """The codec's arrays as stored, by name, each (frames, width): what travels to a GPU.

        They begin at the first frame of the block of ``block_frames`` that ``start`` lies in, and end with a
        whole block, be it beyond the utterance's end. Arrays for escalated frames are there only if the
        utterance has any.
        """
        start, stop = self.span(start, stop)
        block = self.frames.attributes.block_frames
        first = start // block * block
        rows = -(-stop // block) * block - first if stop > start else 0
        specs = self.codec.tracks(self.frames.attributes.class_count)
        tracks = {name: f"{TARGETS}/{name}" for name, spec in specs.items() if not spec.ragged}
        ragged = {name: f"{TARGETS}/{name}" for name, spec in specs.items() if spec.ragged}
        if not self.row.get(NUM_OVERFLOW):
            tracks.pop(OVERFLOW_ROWS, None)
            ragged = {}
        origin = int(self.row["first_frame"])
        found = self.frames.read_together(list(tracks.values()), origin + first, rows)
        encoded = {name: torch.from_numpy(found[track]) for name, track in tracks.items()}
        if ragged:
            before = self.frames.read(tracks[OVERFLOW_ROWS], origin, first).astype(np.int64).sum()
            count = int(encoded[OVERFLOW_ROWS].long().sum())
            begin = int(self.row[FIRST_OVERFLOW]) + int(before)
            values = self.frames.read_together(list(ragged.values()), begin, count)
            encoded |= {name: torch.from_numpy(values[track]) for name, track in ragged.items()}
        return encoded

    def _decode(self, temperature: float, start: int, stop: int, *, log: bool = True) -> Tensor:
        class_count = self.frames.attributes.class_count
        skipped = start % self.frames.attributes.block_frames
        unpacked = self.codec.unpack(self.encoded(start, stop))
        frames = span(unpacked, skipped, skipped + stop - start)
        decode = self.codec.decode if log else self.codec.posteriors
        return decode(frames, class_count, temperature)
