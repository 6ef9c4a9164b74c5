"""Which phone, and which of its three HMM states, every frame belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STATES = 3
"""Emitting states per phone, left to right (Kaldi's usual topology)."""

SILENCE = "SIL"


@dataclass(frozen=True, slots=True)
class Alignment:
    """One utterance's phones and the state of each of its frames.

    Attributes:
        phones: the phone sequence as spoken, silences included.
        frame_states: shape (frames,), int32, non-decreasing: ``position * STATES + state``, where
            ``position`` indexes `phones` and ``state`` runs from 0 to ``STATES - 1``.
    """

    phones: tuple[str, ...]
    frame_states: NDArray[np.int32]
