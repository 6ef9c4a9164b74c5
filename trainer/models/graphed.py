"""The recurrent layers' training steps as CUDA graphs.

A chunk of 20 steps through two LSTMP layers is several hundred small kernels, and a GPU is done with most of
them before the next is launched. A graph launches all of them at once, and all those of the way back.

This was written without a GPU at hand: that it is quicker than plain launches, or than ``torch.compile`` or a
kernel of one's own, has not been measured (``python -m benchmarks.recurrence`` does, where there is one).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.models.lstmp import LSTMP
from trainer.models.recurrent import RecurrentModel, State


class GraphedSteps:
    """`RecurrentModel.steps` for training: the same results, replayed from a graph where one can be.

    That is for an `LSTMP` on a GPU (cuDNN needs no help) and chunks of the shape that comes first; a graph
    holds its memory, so others, such as an epoch's last, take the plain way, as does everything on a CPU.

    What a replay returns is overwritten by the next one: go back through a chunk before the next one comes.
    """

    def __init__(self, model: RecurrentModel) -> None:
        self.model = model
        self._shape: torch.Size | None = None
        self._graph: nn.Module | None = None

    def __call__(self, features: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """See `RecurrentModel.steps`."""
        if features.is_cuda and isinstance(self.model, LSTMP) and self.model.training:
            if self._graph is None:
                self._graph, self._shape = captured(self.model, features, states), features.shape
            if features.shape == self._shape:
                return replayed(self._graph, features, states)
        return self.model.steps(features, states)


class Chunk(nn.Module):
    """`RecurrentModel.steps` from tensors to tensors: features and states, laid flat → hidden and states."""

    def __init__(self, model: RecurrentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        hidden, after = self.model.steps(features, _states(states))
        return hidden, *(part for state in after for part in state)


def captured(model: RecurrentModel, features: Tensor, states: Sequence[State]) -> nn.Module:
    """A `Chunk` whose forward and backward are CUDA graphs; the arguments only give the shapes."""
    chunk = Chunk(model).train()
    sample = features.clone(), *(part.clone() for state in states for part in state)
    # The output layer's weights are the model's too, and no part of this.
    torch.cuda.make_graphed_callables(chunk, sample, allow_unused_input=True)
    return chunk


def replayed(chunk: nn.Module, features: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
    """What `RecurrentModel.steps` returns, from a `Chunk`."""
    hidden, *after = chunk(features, *(part for state in states for part in state))
    # To autograd everything that comes out of a graph is differentiable.
    return hidden, _states([part.detach() for part in after])


def _states(flat: Sequence[Tensor]) -> list[State]:
    return [State(*flat[n : n + 2]) for n in range(0, len(flat), 2)]
