"""What a student is trained to say: the senone it was aligned to, what the teacher said, or both.

With y the student's softmax, t the one-hot label and p_T the teacher's posteriors at temperature T (Tang,
Wang & Zhang 2015, sections 3.3 and 3.4), the loss of one frame and its gradient with respect to the
student's logits are

    hard    -Σ t log y                                  y - t
    soft    -Σ p_T log y                                y - p_T
    reg     -Σ (α t + T² p_T) log y                     α (y - t) + T² (y - p_T)

T acts on the teacher alone; ``student_temperature`` τ ≠ 1 softens the student against p_T too: y_τ in the
place of y, whose gradient is (y_τ - p_T) / τ. ``pretrain`` is soft for some epochs and hard for the others:
two objectives in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import torch
from torch import Tensor

from softstore.errors import InvalidInputError
from softstore.softening import check_temperature


class Kind(StrEnum):
    """Which targets the loss is against."""

    HARD = "hard"
    SOFT = "soft"
    REG = "reg"


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss over frames.

    Attributes:
        temperature: T of the teacher's posteriors.
        alpha: the weight of the hard labels in ``reg``.
        student_temperature: τ of the student against soft targets; 1 in the paper.
    """

    kind: Kind
    temperature: float = 1.0
    alpha: float = 0.5
    student_temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_temperature(self.student_temperature)
        if not 0 <= self.alpha < float("inf"):
            raise InvalidInputError(f"alpha must be a finite number of at least 0, not {self.alpha}.")

    @property
    def uses_targets(self) -> bool:
        """Whether the teacher is asked at all."""
        return self.kind is not Kind.HARD

    def __str__(self) -> str:
        return {
            Kind.HARD: "hard",
            Kind.SOFT: f"soft at T = {self.temperature:g}",
            Kind.REG: f"soft at T = {self.temperature:g} + {self.alpha:g} hard",
        }[self.kind]

    def loss(self, logits: Tensor, labels: Tensor, soften: Callable[[float], Tensor] | None = None) -> Tensor:
        """The loss summed over frames, in nats, a scalar.

        Args:
            logits: of the student, (frames, classes), float32.
            labels: (frames,), int64.
            soften: temperature → the teacher's log p_T, (frames, classes); called only if `uses_targets`.
        """
        if self.kind is Kind.HARD:
            return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        assert soften is not None
        targets = soften(self.temperature).exp()
        tau = self.student_temperature
        if self.kind is Kind.SOFT:
            return soft_cross_entropy(logits if tau == 1 else logits / tau, targets)
        targets.mul_(self.temperature**2)
        if tau == 1:
            hard = targets.new_full((1, 1), self.alpha).expand(len(labels), 1)
            return soft_cross_entropy(logits, targets.scatter_add_(1, labels[:, None], hard))
        hard_loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        return self.alpha * hard_loss + soft_cross_entropy(logits / tau, targets)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model made of some frames.

    Attributes:
        loss: summed over frames, nats, a scalar; differentiable in training.
        frames: how many.
        correct: in how many of them the label had the highest score.
        sources: names the utterances they come from.
    """

    loss: Tensor
    frames: int
    correct: int
    sources: Callable[[], Sequence[str]]


def judge(
    objective: Objective,
    logits: Tensor,
    labels: Tensor,
    soften: Callable[[float], Tensor] | None,
    sources: Callable[[], Sequence[str]],
) -> Outcome:
    """Loss and frame accuracy of some frames; arguments as of `Objective.loss` and `Outcome`."""
    loss = objective.loss(logits, labels, soften)
    # max is quicker than argmax on a CPU.
    correct = int((logits.detach().max(dim=-1).indices == labels).sum())
    return Outcome(loss, len(labels), correct, sources)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-Σ targets · log softmax(logits) over all frames and classes, a scalar.

    Args:
        logits: (frames, classes).
        targets: (frames, classes), without gradient; rows need not sum to 1.
    """
    return cast(Tensor, _SoftCrossEntropy.apply(logits, targets))  # type: ignore[no-untyped-call]


class _SoftCrossEntropy(torch.autograd.Function):
    """The gradient, mass · y - t, is made in the forward pass, in the place of log y."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        log_y = torch.log_softmax(logits, dim=-1)
        # Per frame first: one dot product over a million terms would lose digits in float32.
        loss = -torch.linalg.vecdot(targets, log_y).sum()
        if ctx.needs_input_grad[0]:
            mass = targets.sum(dim=-1, keepdim=True)
            ctx.save_for_backward(log_y.exp_().mul_(mass).sub_(targets))
        return cast(Tensor, loss)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return cast(Tensor, gradient * grad_outputs[0]), None
