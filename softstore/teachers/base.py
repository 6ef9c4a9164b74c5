"""What a teacher is to the generation job: one protocol, and what a teacher may offer besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Teacher(Protocol):
    """Maps features to posteriors, one utterance at a time; several threads may ask at once.

    Its answers may be captured at another temperature T than 1, as log softmax(logits / T), if it says so in
    an attribute ``capture_temperature``; whoever asks undoes that (`softstore.inference.ask`).
    """

    @property
    def class_count(self) -> int | None:
        """None: as many as the corpus has."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the posteriors may: with weights, code, configuration, or capture temperature."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """What to record about it; JSON values."""
        ...

    def log_posteriors(self, features: Tensor) -> Tensor:
        """Logits, or log p: shape (frames, classes), floating point, on any device, from features.

        Args:
            features: of one utterance, shape (frames, dimensions), float32, on the CPU.
        """
        ...


@runtime_checkable
class Batched(Protocol):
    """A teacher may take several utterances in one forward pass; none of them sees the others."""

    def log_posteriors_batch(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """As `log_posteriors`, of each of them."""
        ...


@runtime_checkable
class Stored(Protocol):
    """A teacher may have been asked before: what it said is looked up, no features are needed."""

    def stored_log_posteriors(self, utterance_id: str) -> Tensor:
        """Logits, or log p, shape (frames, classes), floating point.

        Raises:
            InvalidInputError: it has none of this utterance.
        """
        ...


@runtime_checkable
class Movable(Protocol):
    """A teacher may work on another device."""

    def to(self, device: torch.device) -> Teacher: ...
