"""A teacher over a corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softstore.corpus import Corpus
from softstore.encoding import normalise
from softstore.errors import InvalidInputError, SoftstoreError
from softstore.teachers.base import Batched, Stored, Teacher
from softstore.teachers.declared import capture_temperature
from softstore.utterance import Utterance

_NOT_THE_TEACHERS = (SoftstoreError, MemoryError, torch.cuda.OutOfMemoryError)
"""Errors that say what happened by themselves, or nothing about the utterance."""


@dataclass(frozen=True, slots=True)
class Inference:
    """What a teacher says about the utterances of a corpus: `softstore.posteriors.Posteriors`."""

    collection: Corpus
    teacher: Teacher
    batch_frames: int = 1

    def log_posteriors(self, utterance: Utterance) -> Tensor:
        """The teacher's log p at T = 1, checked and normalised: shape (frames, classes), float32.

        Raises:
            InvalidInputError: the teacher failed, or its answer cannot be used.
        """
        return self.log_posteriors_of([utterance])[0]

    def log_posteriors_of(self, utterances: Sequence[Utterance]) -> list[Tensor]:
        """The same of several utterances, in one forward pass where the teacher can; on its device."""
        return ask(self.teacher, utterances, self.collection.class_count)


def ask(teacher: Teacher, utterances: Sequence[Utterance], class_count: int) -> list[Tensor]:
    """The teacher's log p at T = 1 of each utterance, normalised: shape (frames, classes), float32.

    What it captured at another temperature T is brought to 1: with q = softmax(logits / T),
    p = softmax(T log q).

    Raises:
        InvalidInputError: the teacher failed, or its answer cannot be used.
    """
    temperature = capture_temperature(teacher)
    posteriors = []
    with torch.inference_mode():
        for utterance, found in zip(utterances, _answers(teacher, utterances), strict=True):
            logits = found if temperature == 1 else found.float() * temperature
            posteriors.append(normalise(logits, utterance.num_frames, class_count, utterance.utterance_id))
    return posteriors


def _answers(teacher: Teacher, utterances: Sequence[Utterance]) -> list[Tensor]:
    if isinstance(teacher, Stored):
        return [_asked(teacher.stored_log_posteriors, one.utterance_id, one) for one in utterances]
    features = [torch.from_numpy(utterance.features()) for utterance in utterances]
    if not isinstance(teacher, Batched) or len(utterances) < 2:
        return [_asked(teacher.log_posteriors, *both) for both in zip(features, utterances, strict=True)]
    try:
        found = [_tensor(one) for one in teacher.log_posteriors_batch(features)]
        if len(found) != len(utterances):
            raise ValueError(f"{len(found)} answers to {len(utterances)} utterances")
        return found
    except _NOT_THE_TEACHERS:
        raise
    except Exception as error:
        # Asked one by one, it names the utterance it fails on.
        for both in zip(features, utterances, strict=True):
            _asked(teacher.log_posteriors, *both)
        ids = ", ".join(repr(utterance.utterance_id) for utterance in utterances)
        message = f"The teacher failed on the utterances {ids} together: {_line(error)}"
        raise InvalidInputError(message) from error


def _asked(ask_about: Callable[[Any], Tensor], what: Any, utterance: Utterance) -> Tensor:
    try:
        return _tensor(ask_about(what))
    except _NOT_THE_TEACHERS:
        raise
    except Exception as error:
        message = f"The teacher failed on utterance {utterance.utterance_id!r}: {_line(error)}"
        raise InvalidInputError(message) from error


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise TypeError(f"it returned {type(found).__name__}, not a tensor")
    return found


def _line(error: Exception) -> str:
    """The exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
