"""What a teacher said of some frames, encoded until it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from softstore.codecs import Codec, TopK
from softstore.codecs.topk import Head
from softstore.codecs.unpacked import span


@dataclass(frozen=True, slots=True)
class Softener:
    """Temperature → the teacher's log p_T of some frames, or p_T.

    Attributes:
        unpacked: the frames, see `softstore.codecs.unpacked`.
    """

    codec: Codec
    class_count: int
    unpacked: Mapping[str, Tensor]

    def __call__(self, temperature: float) -> Tensor:
        """log p_T, (frames, classes), float32, in memory of its own."""
        return self.codec.decode(self.unpacked, self.class_count, temperature)

    def posteriors(self, temperature: float) -> Tensor:
        """p_T, (frames, classes), float32, in memory of its own."""
        return self.codec.posteriors(self.unpacked, self.class_count, temperature)

    def logits(self) -> Tensor:
        """log p at T = 1 up to a constant a frame, (frames, classes), float32, in memory of its own."""
        return self.codec.logits(self.unpacked, self.class_count)

    def head(self, temperature: float) -> Head:
        """The classes that were kept; of a ``topk`` store."""
        assert isinstance(self.codec, TopK)
        return self.codec.head(self.unpacked, self.class_count, temperature)

    def span(self, start: int, stop: int) -> Softener:
        """Frames ``start`` … ``stop`` (exclusive) alone."""
        return Softener(self.codec, self.class_count, span(self.unpacked, start, stop))


@dataclass(frozen=True, slots=True)
class Softened(Softener):
    """What was asked for already, and is asked for once.

    Attributes:
        said: p_T, or what `logits` gives, (frames, classes), float32.
    """

    said: Tensor

    def posteriors(self, temperature: float) -> Tensor:
        return self.said

    def logits(self) -> Tensor:
        return self.said

    def span(self, start: int, stop: int) -> Softened:
        return Softened(self.codec, self.class_count, {}, self.said[start:stop])
