"""What a search through senones goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from trainer.checkpoint import Checkpoint
from trainer.examples import Examples
from trainer.export.kaldi import log_likelihoods

Likelihoods = Iterable[tuple[str, NDArray[np.float32]]]
"""Utterance ids and log p(s | x) - log p(s), up to a constant of each frame, (frames, senones), in nats."""


def model_likelihoods(checkpoint: Checkpoint, examples: Examples) -> Callable[[str], Likelihoods]:
    """Of a model, by split: its output delay taken out, p(s) from the hard labels that it was trained on."""

    def likelihoods(split: str) -> Likelihoods:
        found = log_likelihoods(checkpoint, examples, split)
        return ((utterance_id, matrix.cpu().numpy()) for utterance_id, matrix in found)

    return likelihoods
