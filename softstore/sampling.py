"""The codec of a store that is fitted to its teacher: from a sample, or as it was fitted before."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import Codec, FittedToSample, codec_from_config
from softstore.codecs.transform.fidelity import SAMPLE_FRAMES
from softstore.errors import UNUSABLE, ConflictError, NotAStoreError
from softstore.parts import read_attributes
from softstore.posteriors import Posteriors
from softstore.rows import Rows
from softstore.storage import Storage
from softstore.survey import survey
from softstore.utterance import Utterance

U = TypeVar("U", bound=Utterance)

_CANDIDATES = 1 << 20
"""Of more utterances than this, so many from all over are drawn from."""


def take_sample(
    source: Posteriors[U],
    rows: Rows | None = None,
    *,
    frames: int = SAMPLE_FRAMES,
    patient: bool = False,
) -> list[Tensor]:
    """Normalised log p of utterances from all over the source, each (frames, classes), float32.

    The same ids in the same order give the same utterances, of ``frames`` or a little more together.

    Args:
        rows: of the source, where they are at hand.
        patient: pass over utterances whose posteriors cannot be used.
    """
    held = source.collection.frames
    rows = Rows(held, survey(held.storage, held.attributes)) if rows is None else rows
    sample: list[Tensor] = []
    for number in sampling_order(len(rows)):
        if sum(len(utterance) for utterance in sample) >= frames:
            break
        for utterance in source.collection.scan_rows(*rows.take(np.array([number]))):
            with suppress(*UNUSABLE if patient else ()):
                sample.append(source.log_posteriors(utterance).cpu())
    return sample


def sampling_order(utterances: int) -> NDArray[np.int64]:
    """In which order utterances are taken into samples, by their number: (utterances,), int64; a million of
    more than that."""
    candidates = min(utterances, _CANDIDATES)
    return np.random.default_rng(0).permutation(candidates) * utterances // max(candidates, 1)


def stored_codec(storage: Storage, asked: FittedToSample) -> Codec | None:
    """The codec of the store that lies there; None if there is no store.

    Raises:
        ConflictError: it was fitted for something else, or is none that is fitted.
    """
    try:
        attributes = read_attributes(storage)
    except NotAStoreError:
        return None
    config = attributes.codec or {}
    if config.get("asked") != asked.asked():
        was = f"for {config['asked']}" if "asked" in config else f"with the codec {config.get('name')}"
        raise ConflictError(
            f"{storage.url} was made {was}, now {asked.asked()} is asked: choose another place, or use what "
            "it was made with."
        )
    return codec_from_config(config, read_codec_arrays(storage, attributes))
