"""A loss and its gradient in one pass over blocks of frames: nothing but the gradient is ever whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.objectives.losses import LossAndGradient

BLOCK_NUMBERS_ON_CPU, BLOCK_NUMBERS = 1 << 18, 1 << 24
"""Logits worked on at a time: what a core keeps in its cache, and enough for a whole GPU."""

LossOfRows = Callable[[Tensor, int, int, Tensor | None], LossAndGradient]
"""Logits of frames ``start`` … ``stop``, and where their gradient may lie → what `trainer.objectives.losses`
return."""


def total_loss(logits: Tensor, loss_of_rows: LossOfRows) -> Tensor:
    """The sum of the losses of all frames, a scalar; at least float32, also if the logits are bfloat16.

    Args:
        logits: (frames, classes).
    """
    return cast(Tensor, _Total.apply(logits, loss_of_rows))  # type: ignore[no-untyped-call]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, loss_of_rows: LossOfRows) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=dtype, device=logits.device)
        numbers = BLOCK_NUMBERS_ON_CPU if logits.device.type == "cpu" else BLOCK_NUMBERS
        frames = max(numbers // logits.shape[1], 1)
        with torch.autocast(logits.device.type, enabled=False):
            for start in range(0, len(logits), frames):
                block = logits[start : start + frames].to(dtype)
                there = None if gradient is None else gradient[start : start + frames]
                out = there if logits.dtype == dtype else None
                losses, slopes = loss_of_rows(block, start, start + len(block), out)
                total += losses.sum()
                if there is not None and slopes is not out:
                    there.copy_(slopes)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_outputs[0].to(gradient.dtype), None
