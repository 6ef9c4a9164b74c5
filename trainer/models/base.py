"""What every acoustic model offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from softstore.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a model.

    Attributes:
        input_dim: features per frame.
        class_count: senones.
    """

    input_dim: int
    class_count: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def check_positive(self, *names: str) -> None:
        """Raises `InvalidInputError` if one of these fields is below 1."""
        for name in ("input_dim", "class_count", *names):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, not {getattr(self, name)}.")


class AcousticModel(nn.Module, ABC):
    """Frames of features → logits over senones, in two halves (see `trainer.models`).

    Attributes:
        log_prior: of each senone among the training labels, (classes,): a decoder subtracts it. Set by
            `set_prior`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_dim = config.input_dim
        self.class_count = config.class_count
        self.log_prior: Tensor
        self.register_buffer("log_prior", torch.zeros(config.class_count))

    @abstractmethod
    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        """Utterances, each (frames, input_dim) float32 → (all their frames, hidden), one after another."""

    @abstractmethod
    def classify(self, hidden: Tensor) -> Tensor:
        """(rows, hidden) → logits, (rows, classes)."""

    def set_prior(self, label_counts: Tensor) -> None:
        """From the frames of each senone, (classes,); one is added to each, so that none is impossible."""
        counts = label_counts.double() + 1
        self.log_prior.copy_((counts / counts.sum()).log())

    @torch.inference_mode()
    def log_posteriors(self, features: Tensor) -> Tensor:
        """log p of one utterance in nats: (frames, input_dim) float32 → (frames, classes) float32."""
        return torch.log_softmax(self.classify(self.embed([features])), dim=-1)
