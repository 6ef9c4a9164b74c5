"""What `softstore evaluate` said of one trained model, by utterance where words are concerned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.decoding.word_errors import count_errors

FRAMES, WORDS, METRICS = "frames.json", "words.json", "metrics.jsonl"
"""In a model's directory: of `evaluate --json`, of the same with ``--wer``, and of training."""


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """One model of one seed.

    Attributes:
        fa_train, fa_cv: frame accuracy, per cent.
        errors: of each utterance of the test split, in the corpus's order, (utterances,), int64.
        epochs, seconds: of training; and in how many epochs the teacher was asked.
        curve: frame accuracy on cv after each epoch, per cent.
        setting: what decoding was tuned to.
    """

    fa_train: float
    fa_cv: float
    errors: NDArray[np.int64]
    epochs: int
    taught_epochs: int
    seconds: float
    curve: list[float]
    setting: Mapping[str, float]


def read_outcome(model: Path, texts: Mapping[str, Sequence[str]], split: str) -> Outcome:
    """Of a model's directory.

    Args:
        texts: the words of each utterance of ``split``, which was decoded.
    """
    accuracies = json.loads((model / FRAMES).read_text())["splits"]
    decoded = json.loads((model / WORDS).read_text())["words"][split]
    epochs = [json.loads(line) for line in (model / METRICS).read_text().splitlines()]
    heard = {utterance_id: words.split() for utterance_id, words in decoded["heard"].items()}
    return Outcome(
        accuracies["train"]["frame_accuracy"],
        accuracies["cv"]["frame_accuracy"],
        np.array([count_errors(words, heard.get(name, [])) for name, words in texts.items()], np.int64),
        len(epochs),
        sum(epoch["objective"] != "hard" for epoch in epochs),
        sum(epoch["seconds"] for epoch in epochs),
        [epoch["cv_accuracy"] for epoch in epochs],
        {key: decoded[key] for key in ("lm_weight", "insertion_penalty")},
    )
