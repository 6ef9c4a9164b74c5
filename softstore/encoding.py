"""One utterance's logits, checked, normalised, encoded, and measured: ready to be written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.certificate import encode_and_measure
from softstore.codecs import Codec
from softstore.codecs.transform import Transform
from softstore.errors import InvalidInputError
from softstore.escalation import hold_to_bound
from softstore.format import TARGETS

LOWEST_LOG_POSTERIOR = -1e4
"""Log-posteriors in nats below this one, -inf too, are stored and certified as it: up to T = 100 such a class
still has no more mass than exp(-100)."""

_CERTIFICATE_COLUMN = re.compile(r"entropy|(mean|max)_kl_t.+")


@dataclass(frozen=True, slots=True)
class EncodedUtterance:
    """One utterance, ready to be written.

    Attributes:
        row: its manifest columns, certificate included, without the placement.
        tracks: for every track of the store, its rows.
        kl_histogram: as `softstore.certificate.Measurement.histogram`.
    """

    row: dict[str, Any]
    tracks: dict[str, NDArray[Any]]
    kl_histogram: dict[str, list[int]]

    @property
    def frames(self) -> int:
        return int(self.row["num_frames"])


def is_certificate(column: str) -> bool:
    """Whether a manifest column is one that `encode_utterance` adds."""
    return _CERTIFICATE_COLUMN.fullmatch(column) is not None


def normalise(logits: Tensor, frames: int, class_count: int, utterance_id: str) -> Tensor:
    """log p at T = 1, normalised: shape (frames, classes), float32, no value below `LOWEST_LOG_POSTERIOR`.

    Args:
        logits: or log-posteriors, of any floating-point type; -inf rules a class out.

    Raises:
        InvalidInputError: another shape, a value that is NaN or +inf, or a row that is -inf throughout.
    """
    if tuple(logits.shape) != (frames, class_count):
        raise InvalidInputError(
            f"The teacher gave {tuple(logits.shape)} for {utterance_id!r}, not {(frames, class_count)}."
        )
    # A row whose largest value is finite has neither NaN nor +inf, and something else than -inf.
    logits = logits.detach().float()
    unusable = ~logits.amax(dim=-1).isfinite()
    if bool(unusable.any()):
        frame = int(unusable.nonzero()[0])
        raise InvalidInputError(
            f"The teacher's output for {utterance_id!r} is not finite in frame {frame}: repair the teacher."
        )
    return torch.log_softmax(logits, dim=-1).clamp_min_(LOWEST_LOG_POSTERIOR)


def encode_utterance(
    codec: Codec,
    log_posteriors: Tensor,
    temperatures: Sequence[float],
    row: Mapping[str, Any],
    tracks: Mapping[str, NDArray[Any]],
) -> EncodedUtterance:
    """Encode normalised log p, (frames, classes), and measure what decoding gives back.

    Args:
        row: the utterance's manifest columns, without placement and certificate.
        tracks: its features and labels.
    """
    encoded, measured = encode_and_measure(codec, log_posteriors, temperatures)
    if isinstance(codec, Transform) and codec.max_kl is not None:
        encoded = hold_to_bound(codec, encoded, log_posteriors, temperatures, measured.kl)
    targets = {f"{TARGETS}/{name}": array for name, array in encoded.items()}
    return EncodedUtterance({**row, **measured.columns()}, {**tracks, **targets}, measured.histogram())
