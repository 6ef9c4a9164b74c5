"""Checks of what a shard holds: labels are classes, features are those of the manifest's utterances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.errors import CorruptDataError
from softstore.sharding import crc32c


class WrongLabelError(CorruptDataError):
    """A label is no class."""


def check_labels(path: str, chunks: Iterable[NDArray[np.generic]], class_count: int) -> None:
    """Raises `WrongLabelError` where a label is not below ``class_count``.

    Args:
        path: the object, for error messages.
        chunks: its rows, a piece at a time.
    """
    classes = np.arange(class_count)
    for chunk in chunks:
        if not np.isin(chunk, classes).all():
            raise WrongLabelError(f"{path} has labels that are none of the {class_count} classes.")


def check_features(
    path: str, chunks: Iterator[NDArray[np.generic]], utterances: pa.Table, first_frame: int
) -> None:
    """Raises `CorruptDataError` where an utterance's features do not match its ``features_crc32c``.

    An object can be whole, listed, and still another shard's.

    Args:
        path: the object, for error messages.
        chunks: its rows, a piece at a time.
        utterances: manifest rows of the shard, by rising first frame.
        first_frame: of the shard, on the frame axis of the whole store.
    """
    chunk, begin = next(chunks), first_frame
    columns = ("utterance_id", "first_frame", "num_frames", "features_crc32c")
    for utterance_id, frame, frames, stored in zip(
        *(utterances[name].to_pylist() for name in columns), strict=True
    ):
        checksum, last = 0, frame + frames
        while frame < last:
            while frame >= begin + len(chunk):
                begin += len(chunk)
                chunk = next(chunks)
            piece = chunk[frame - begin : last - begin]
            checksum = crc32c(piece.tobytes(), checksum)
            frame += len(piece)
        if checksum != stored:
            raise CorruptDataError(
                f"{path} does not hold the features of utterance {utterance_id!r}: they do not match the "
                "checksum in its manifest row."
            )
