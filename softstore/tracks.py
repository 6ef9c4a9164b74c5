"""What people give for one utterance, checked, in the types it is stored in."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from softstore.codecs.base import DType, TrackSpec
from softstore.errors import InvalidInputError
from softstore.format import FEATURES, LABELS


def number_tensor(values: ArrayLike | Tensor, what: str, utterance_id: str) -> Tensor:
    """Raises `InvalidInputError` where these are no real numbers."""
    try:
        # Copied: torch warns about arrays that cannot be written to, and knows no negative strides.
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The {what} of {utterance_id!r} are no array of numbers: {error}."
        ) from error
    if tensor.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise InvalidInputError(f"The {what} of {utterance_id!r} are {tensor.dtype}, no real numbers.")
    return tensor


def feature_track(values: ArrayLike | Tensor, frames: int, utterance_id: str) -> NDArray[Any]:
    """Shape (frames, dimensions), float16 or float32.

    Raises:
        InvalidInputError: another shape, or a value that is not finite.
    """
    tensor = number_tensor(values, FEATURES, utterance_id).detach().cpu()
    if tensor.ndim != 2 or len(tensor) != frames or not tensor.shape[1]:
        raise InvalidInputError(
            f"The features of {utterance_id!r} have the shape {tuple(tensor.shape)}, "
            f"not ({frames}, dimensions)."
        )
    tensor = tensor if tensor.dtype == torch.float16 else tensor.float()
    if not bool(tensor.isfinite().all()):
        raise InvalidInputError(f"The features of {utterance_id!r} are not finite.")
    return tensor.numpy()


def label_track(values: ArrayLike | Tensor, frames: int, class_count: int, utterance_id: str) -> NDArray[Any]:
    """Shape (frames,), uint16, or int32 where there are more classes.

    Raises:
        InvalidInputError: another shape, no integers, or a class that there is not.
    """
    tensor = number_tensor(values, LABELS, utterance_id).detach().cpu()
    if tuple(tensor.shape) != (frames,) or tensor.is_floating_point():
        raise InvalidInputError(
            f"The labels of {utterance_id!r} are {tensor.dtype} of the shape {tuple(tensor.shape)}, "
            f"not integers of ({frames},)."
        )
    labels: NDArray[Any] = tensor.numpy()
    if labels.min() < 0 or labels.max() >= class_count:
        raise InvalidInputError(
            f"The labels of {utterance_id!r} are not all between 0 and {class_count - 1}."
        )
    return labels.astype(np.uint16 if class_count <= 1 << 16 else np.int32)


def track_spec(array: NDArray[Any]) -> TrackSpec:
    """How an array of frames is stored."""
    return TrackSpec(cast(DType, array.dtype.name), array.shape[1] if array.ndim == 2 else None)
