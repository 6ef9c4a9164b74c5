"""The losses of `trainer.objectives` and their gradients, for frames that fit into a processor's cache.

Each takes the student's logits, (frames, classes), and returns the loss of each frame in nats, (frames,), and
its gradient with respect to the logits, (frames, classes), in memory of its own: where ``out`` is given,
perhaps there. What a function is given of the teacher, it may overwrite.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softstore.codecs.topk import Head

LossAndGradient = tuple[Tensor, Tensor]


def soft(logits: Tensor, p: Tensor, student_temperature: float, out: Tensor | None = None) -> LossAndGradient:
    """``p``: the teacher's p_T, (frames, classes)."""
    p = p.to(logits.dtype)
    z = _softened(logits, student_temperature)
    y, log_sum = _softmax(z, out)
    return log_sum - torch.linalg.vecdot(p, z), _divided(y.sub_(p), student_temperature)


def regularised(
    logits: Tensor,
    p: Tensor,
    labels: Tensor,
    soft_weight: float,
    hard_weight: float,
    out: Tensor | None = None,
) -> LossAndGradient:
    """Soft and hard targets, (frames,) int64, in one: they ask for the same softmax of the student."""
    weight = soft_weight + hard_weight
    targets = p.mul_(soft_weight).to(logits.dtype)
    targets.scatter_add_(1, labels[:, None], targets.new_full((len(labels), 1), hard_weight))
    y, log_sum = _softmax(logits, out)
    return weight * log_sum - torch.linalg.vecdot(targets, logits), y.mul_(weight).sub_(targets)


def matched(logits: Tensor, log_p: Tensor) -> LossAndGradient:
    """``log_p``: the teacher's at T = 1, up to a constant a frame, (frames, classes)."""
    difference = logits - log_p
    difference.sub_(difference.mean(dim=-1, keepdim=True))
    return torch.linalg.vecdot(difference, difference) / 2, difference


def sparse(logits: Tensor, head: Head, student_temperature: float) -> LossAndGradient:
    """The soft cross entropy over k + 1 classes: those of ``head``, and all others as one.

    The logit of that one is the logarithm of the sum of its classes' exponentials, so that a tail with very
    little mass is as exact as any.
    """
    z = _softened(logits, student_temperature)
    tail = z.scatter(1, head.classes, -math.inf)
    highest = tail.amax(dim=-1, keepdim=True)
    weights = tail.sub_(highest).exp_()
    total = weights.sum(dim=-1, keepdim=True)
    folded = torch.cat([z.gather(1, head.classes), total.log() + highest], dim=-1)
    log_p = torch.cat([head.log_posteriors, head.log_tail], dim=-1)
    loss, gradient = soft(folded, log_p.exp_(), 1)
    spread = weights.mul_(gradient[:, -1:] / total)
    return loss, _divided(spread.scatter_(1, head.classes, gradient[:, :-1]), student_temperature)


def _softmax(logits: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
    """y, (frames, classes), and log Σ exp z, (frames,).

    That is z - log y of any class; of the likeliest, both are as exact as they can be. So there is but one
    exponential for each logit.
    """
    y = torch.softmax(logits, dim=-1, out=out)
    return y, logits.amax(dim=-1) - y.amax(dim=-1).log()


def _softened(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1 else logits / temperature


def _divided(gradient: Tensor, temperature: float) -> Tensor:
    return gradient if temperature == 1 else gradient.div_(temperature)
