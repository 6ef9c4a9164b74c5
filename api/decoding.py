"""Posteriors as the service decodes them: some frames at a time, the next while the last are being sent.

A piece fits the processor's cache, and no answer is ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softstore import StoredUtterance
from softstore.codecs.unpacked import span
from softstore.ensemble import EnsembleUtterance, mixture

PIECE_NUMBERS = 1 << 18
"""About a mebibyte of float32."""

DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, slots=True)
class Softening:
    """How posteriors are wanted.

    Attributes:
        log: log p_T in nats rather than p_T.
        dtype: a key of `DTYPES`; everything is computed in float32.
        classes: only these, in this order; None: all.
    """

    temperature: float = 1.0
    log: bool = False
    dtype: str = "float32"
    classes: Sequence[int] | None = None

    def cast(self, posteriors: Tensor) -> Tensor:
        return posteriors.to(DTYPES[self.dtype])


def pieces_of(frames: int, class_count: int) -> list[int]:
    """How many frames each piece of a span has."""
    most = max(PIECE_NUMBERS // class_count, 1)
    return [min(most, frames - begin) for begin in range(0, frames, most)]


def decode(
    utterance: StoredUtterance | EnsembleUtterance,
    temperature: float,
    start: int,
    stop: int,
    *,
    log: bool = True,
) -> Iterator[Tensor]:
    """log p_T of a span, or p_T: shape (some frames, classes), float32, C order.

    The stored arrays are read and checked before the first piece: what follows does not fail.

    Raises:
        InvalidInputError: there is no such span.
        CorruptDataError: bytes are missing or damaged.
    """
    if isinstance(utterance, EnsembleUtterance):
        members = [decode(member, temperature, start, stop) for member in utterance.members]
        # They have as many classes each, so the pieces are of the same frames.
        for pieces in zip(*members, strict=True):
            mixed = mixture(pieces, utterance.weights, utterance.mean)
            yield mixed if log else mixed.exp_()
        return
    attributes = utterance.frames.attributes
    codec = utterance.codec
    decoded = codec.decode if log else codec.posteriors
    unpacked = codec.unpack(utterance.encoded(start, stop))
    begin = start % attributes.block_frames
    for frames in pieces_of(stop - start, attributes.class_count):
        piece = span(unpacked, begin, begin + frames)
        yield decoded(piece, attributes.class_count, temperature).contiguous()
        begin += frames


def dense(
    utterance: StoredUtterance | EnsembleUtterance, wanted: Softening, start: int, stop: int
) -> Iterator[Tensor]:
    """Posteriors of a span, some frames at a time: shape (some frames, classes wanted), C order; raises as
    `decode`."""
    index = None if wanted.classes is None else torch.tensor(wanted.classes)
    for posteriors in decode(utterance, wanted.temperature, start, stop, log=wanted.log):
        yield wanted.cast(posteriors if index is None else posteriors[:, index])


def heaviest(
    utterance: StoredUtterance | EnsembleUtterance, k: int, wanted: Softening, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """The k most probable classes of each frame and their posteriors, both (frames, k), by falling
    probability; raises as `decode`."""
    # The first ones stand for a span without frames.
    values, classes = [torch.empty(0, k)], [torch.empty(0, k, dtype=torch.int64)]
    for log_posteriors in decode(utterance, wanted.temperature, start, stop):
        largest = log_posteriors.topk(k, dim=-1)
        values.append(largest.values)
        classes.append(largest.indices)
    found = torch.cat(values)
    return torch.cat(classes), wanted.cast(found if wanted.log else found.exp_())
