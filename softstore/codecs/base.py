"""What a codec is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """One per-frame array: its NumPy dtype name and its width (None: one number a frame)."""

    dtype: Literal["uint8", "uint16", "int32", "float16", "float32"]
    width: Annotated[int, Field(gt=0)] | None = None


class Codec(Protocol):
    """Turns log-posteriors into small per-frame arrays and back; frames are independent."""

    name: ClassVar[str]

    def config(self) -> dict[str, Any]:
        """JSON values that rebuild this codec with `codec_from_config`."""
        ...

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        """The arrays it stores for a teacher of ``class_count`` classes, by name."""
        ...

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        """Arrays by track name from normalised log p, shape (frames, classes), float32."""
        ...

    def decode(self, encoded: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        """log p_T, shape (frames, classes), float32, on the device of ``encoded``; every row normalised."""
        ...
