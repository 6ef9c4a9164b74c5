"""Codecs: a row of log-posteriors → a few small arrays → log-posteriors at any temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore.codecs.base import Codec, FittedToSample, TrackSpec
from softstore.codecs.float16 import Float16
from softstore.codecs.float32 import Float32
from softstore.codecs.topk import TopK
from softstore.codecs.transform import Fidelity, Parameters, Transform
from softstore.codecs.uint8 import UInt8
from softstore.errors import FormatError

__all__ = [
    "CODECS",
    "Codec",
    "Fidelity",
    "FittedToSample",
    "Float16",
    "Float32",
    "Parameters",
    "TopK",
    "TrackSpec",
    "Transform",
    "UInt8",
    "codec_from_config",
]

CODECS: Mapping[str, type[Float16] | type[Float32] | type[TopK] | type[Transform] | type[UInt8]] = {
    codec.name: codec for codec in (Transform, TopK, UInt8, Float16, Float32)
}

_NO_ARRAYS: Mapping[str, NDArray[np.generic]] = {}


def codec_from_config(
    config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]] = _NO_ARRAYS
) -> Codec:
    """The codec a store's attributes describe.

    Args:
        config: as `Codec.config` gave it.
        arrays: as `Codec.arrays` gave them.

    Raises:
        FormatError: this release does not know that codec, or its parameters are unreadable.
    """
    name = str(config.get("name"))
    if name not in CODECS:
        raise FormatError(
            f"The store uses the codec {name!r}; this release of softstore knows {', '.join(CODECS)}."
        )
    return CODECS[name].from_config(config, arrays)
