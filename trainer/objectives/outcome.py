"""What a model made of some frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from trainer.objectives.objective import Objective
from trainer.objectives.softener import Softener


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
    soften: Softener | None,
    sources: Callable[[], Sequence[str]],
) -> Outcome:
    """Loss and frame accuracy of some frames; arguments as of `Objective.loss` and `Outcome`."""
    loss = objective.loss(logits, labels, soften)
    # max is quicker than argmax on a CPU.
    correct = int((logits.detach().max(dim=-1).indices == labels).sum())
    return Outcome(loss, len(labels), correct, sources)
