"""What a codec is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from torch import Tensor

DType = Literal["int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32"]
"""NumPy names of the types that arrays are stored in."""


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """One per-frame array.

    Attributes:
        dtype: of its elements.
        width: numbers in a row; None: one number, and the array has one dimension.
        chunk_width: columns in one chunk; None: all. Columns of different statistics compress better apart.
        ragged: 0: its rows are frames. Otherwise they are not: each shard has as many as it needs, from its
            first row on, and room for this many per frame.

    Raises:
        ValueError: ``chunk_width`` does not divide ``width``.
    """

    # An attribute that a later release gives a track says where its bytes lie: not to be passed over.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dtype: DType
    width: Annotated[int, Field(gt=0)] | None = None
    chunk_width: Annotated[int, Field(gt=0)] | None = None
    ragged: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.chunk_width is not None and (self.width is None or self.width % self.chunk_width):
            raise ValueError(f"rows of {self.width} cannot be cut into chunks of {self.chunk_width} columns")

    def shard_rows(self, shard_frames: int) -> int:
        """Rows that a shard of ``shard_frames`` frames has room for."""
        return shard_frames * max(self.ragged, 1)


class Codec(Protocol):
    """Turns log-posteriors into small per-frame arrays and back.

    Attributes:
        block_frames: frames are encoded so many at a time, blocks are independent; 1 for most codecs. An
            utterance's first frame begins a block.
        full_support: whether what decodes at T = 1 has every class, so that softening it gives any T.
    """

    name: ClassVar[str]
    full_support: ClassVar[bool]

    @property
    def block_frames(self) -> int: ...

    def config(self) -> dict[str, Any]:
        """JSON values that rebuild this codec with `codec_from_config`."""
        ...

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What it needs once beyond its config, such as a basis; empty for most codecs."""
        ...

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        """The arrays it stores for a teacher of ``class_count`` classes, by name."""
        ...

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        """Arrays by track name from normalised log p, shape (frames, classes), float32."""
        ...

    def unpack(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Arrays with one row a frame from those that were stored; see `softstore.codecs.unpacked`."""
        ...

    def decode(self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        """log p_T, shape (frames, classes), float32, on the device of ``unpacked``; every row normalised."""
        ...

    def posteriors(
        self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0
    ) -> Tensor:
        """p_T itself, otherwise as `decode`, and quicker than the exponential of that."""
        ...

    def logits(self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        """log p_T up to a constant a frame, otherwise as `decode`; in memory of its own."""
        ...


@runtime_checkable
class FittedToSample(Protocol):
    """What is asked of a codec that is yet to be fitted to the teacher's outputs."""

    def asked(self) -> dict[str, Any]:
        """JSON values; the config of the fitted codec has them under ``asked``."""
        ...

    def fit(self, sample: Sequence[Tensor]) -> Codec:
        """The codec, from normalised log p of some utterances, each (frames, classes), float32."""
        ...


class Decoder(ABC):
    """What logits are made into, whatever the codec; see `Codec`."""

    __slots__ = ()

    @abstractmethod
    def logits(
        self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0
    ) -> Tensor: ...

    def decode(self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        return torch.log_softmax(self.logits(unpacked, class_count, temperature), dim=-1)

    def posteriors(
        self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0
    ) -> Tensor:
        return torch.softmax(self.logits(unpacked, class_count, temperature), dim=-1)


class FrameCodec(Decoder):
    """What codecs have in common that encode each frame by itself and need nothing but their config."""

    __slots__ = ()

    block_frames: ClassVar[int] = 1
    full_support: ClassVar[bool] = True

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {}

    def unpack(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(encoded)
