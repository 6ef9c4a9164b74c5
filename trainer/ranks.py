"""Training by several processes at once, as ``torchrun`` starts them: who is who, and what they share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor, nn

CPU = torch.device("cpu")

_PATIENCE = timedelta(days=1)
"""How long ranks wait for each other: one may read a whole corpus meanwhile. ``torchrun`` ends the others of
one that fails."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train one model; by default there is no other.

    Every method is to be called by all of them, in the same order.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = CPU

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and shows."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Of each number, over all ranks, in float64."""
        if self.world_size == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(together)
        found: list[float] = together.tolist()
        return found

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every rank gets the sum of all ranks' gradients."""
        if self.world_size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(together)
        parts = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Every rank gets the first one's values."""
        if self.world_size > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def gather(self, tensor: Tensor) -> Tensor:
        """All ranks' parts one after another along the first axis; they are of one shape."""
        if self.world_size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The ranks that ``torchrun`` has started, or this process alone; NCCL on GPUs, gloo on CPUs."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Ranks(device=device)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=_PATIENCE)
    yield Ranks(torch.distributed.get_rank(), world_size, device)
    # Not after an error: the others may be waiting for this one, which would then wait for them.
    torch.distributed.destroy_process_group()
