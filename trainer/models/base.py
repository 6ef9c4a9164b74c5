"""What every acoustic model offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from softstore.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class ModelConfig(ABC):
    """The shape of a model.

    Attributes:
        kind: of model, as it is called on disk and in configurations.
        input_dim: features per frame.
        class_count: senones.
    """

    kind: ClassVar[str]

    input_dim: int
    class_count: int

    @abstractmethod
    def build(self) -> AcousticModel:
        """A model of this shape, at its start."""

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
        config: its shape.
        output: the layer of the logits.
        log_prior: of each senone among the training labels, (classes,): a decoder subtracts it. Set by
            `set_prior`.
    """

    config: ModelConfig
    output: nn.Linear
    log_prior: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_dim = config.input_dim
        self.class_count = config.class_count
        self.register_buffer("log_prior", torch.zeros(config.class_count))

    @abstractmethod
    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        """Utterances, each (frames, input_dim) float32 → (all their frames, hidden), one after another."""

    def classify(self, hidden: Tensor) -> Tensor:
        """(rows, hidden) → logits, (rows, classes)."""
        logits: Tensor = self.output(hidden)
        return logits

    def set_prior(self, label_counts: Tensor) -> None:
        """From the frames of each senone, (classes,); one is added to each, so that none is impossible."""
        counts = label_counts.double() + 1
        self.log_prior.copy_((counts / counts.sum()).log())

    @torch.inference_mode()
    def log_posteriors(self, features: Tensor) -> Tensor:
        """log p of one utterance in nats: (frames, input_dim) float32 → (frames, classes) float32."""
        return torch.log_softmax(self.classify(self.embed([features])), dim=-1)


class NormalisedModel(AcousticModel):
    """A model whose input has its mean and variance taken out.

    The buffers ``mean`` and ``scale``, (input_dim,), are set before training.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.register_buffer("mean", torch.zeros(config.input_dim))
        self.register_buffer("scale", torch.ones(config.input_dim))

    def normalised(self, features: Tensor) -> Tensor:
        """(…, input_dim) → the same shape."""
        return (features - self.mean) * self.scale
