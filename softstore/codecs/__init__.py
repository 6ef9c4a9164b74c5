"""Codecs: a row of log-posteriors → a few small arrays → log-posteriors at any temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softstore.codecs.base import Codec, TrackSpec
from softstore.codecs.float16 import Float16
from softstore.codecs.topk import TopK
from softstore.errors import FormatError

__all__ = ["CODECS", "Codec", "Float16", "TopK", "TrackSpec", "codec_from_config"]

CODECS: Mapping[str, type[Float16] | type[TopK]] = {"float16": Float16, "topk": TopK}


def codec_from_config(config: Mapping[str, Any]) -> Codec:
    """The codec a store's attributes describe.

    Raises:
        FormatError: this release does not know that codec.
    """
    name = str(config.get("name"))
    if name not in CODECS:
        raise FormatError(
            f"The store uses the codec {name!r}; this release of softstore knows {', '.join(CODECS)}."
        )
    return CODECS[name].from_config(config)
