"""One recurrent layer in one direction, in plain tensor operations: the equations of `trainer.models.lstmp`.

TorchScript reads the annotations, and wants types: this file cannot import them from the future.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from trainer.models.lstmp import LSTMPLayer
from trainer.models.recurrence import CELL_CLIP


class Weights(NamedTuple):
    """A layer's weights in one direction, gates in the order i, f, o, g.

    Attributes:
        peepholes: of i, f and o, (3, cells).
        projection: (projection, cells); None: its output is that of the cells.
        clip: the bound on |c|.
        reverse: whether it goes from the end to the start.
    """

    input_weight: Tensor
    recurrent_weight: Tensor
    bias: Tensor
    peepholes: Tensor
    projection: Tensor | None
    clip: float
    reverse: bool

    @classmethod
    def of_lstmp(cls, layer: LSTMPLayer) -> Self:
        return cls(
            layer.input_weight.detach(),
            layer.recurrent_weight.detach(),
            layer.bias.detach(),
            layer.peepholes.detach(),
            layer.projection.detach(),
            clip=CELL_CLIP,
            reverse=False,
        )

    @classmethod
    def of_torch(cls, lstm: nn.LSTM, layer: int, way: str) -> Self:
        """Of a `torch.nn.LSTM`, which has no peepholes and no clip; ``way``: nothing, or ``_reverse``."""

        def ours(name: str) -> Tensor:
            i, f, g, o = lstm.get_parameter(f"{name}_l{layer}{way}").detach().chunk(4)
            return torch.cat([i, f, o, g])

        return cls(
            ours("weight_ih"),
            ours("weight_hh"),
            ours("bias_ih") + ours("bias_hh"),
            torch.zeros(3, lstm.hidden_size),
            lstm.get_parameter(f"weight_hr_l{layer}{way}").detach() if lstm.proj_size else None,
            clip=math.inf,
            reverse=way != "",
        )


class Direction(nn.Module):
    """(frames, inputs) → (frames, width), beginning with zeros. Subclasses say how time is gone through."""

    input_weight: Tensor
    recurrent_weight: Tensor
    bias: Tensor
    peepholes: Tensor
    projection: Tensor | None

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.register_buffer("input_weight", weights.input_weight)
        self.register_buffer("recurrent_weight", weights.recurrent_weight)
        self.register_buffer("bias", weights.bias)
        self.register_buffer("peepholes", weights.peepholes)
        self.register_buffer("projection", weights.projection)
        self.clip = weights.clip
        self.reverse = weights.reverse

    def forward(self, inputs: Tensor) -> Tensor:
        driven = torch.addmm(self.bias, inputs, self.input_weight.t())
        width, cells = self.recurrent_weight.shape[1], self.peepholes.shape[1]
        state = inputs.new_zeros(1, width), inputs.new_zeros(1, cells)
        if self.reverse:
            return self.through(driven.flip(0), state).flip(0)
        return self.through(driven, state)

    def through(self, driven: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
        """What the input contributes to all steps' gates, (frames, 4 · cells) → r of all steps."""
        raise NotImplementedError

    def step(self, state: tuple[Tensor, Tensor], driven: Tensor) -> tuple[Tensor, Tensor]:
        """One step: (r, c) before → (r, c) after."""
        r, c = state
        i, f, o, g = torch.addmm(driven, r, self.recurrent_weight.t()).chunk(4, dim=1)
        i = torch.sigmoid(i + self.peepholes[0] * c)
        f = torch.sigmoid(f + self.peepholes[1] * c)
        c = (f * c + i * torch.tanh(g)).clamp(-self.clip, self.clip)
        m = torch.sigmoid(o + self.peepholes[2] * c) * torch.tanh(c)
        projection = self.projection
        return m if projection is None else m @ projection.t(), c


class Looped(Direction):
    """A loop of TorchScript's."""

    def through(self, driven: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
        outputs: list[Tensor] = []
        for driven_t in torch.split(driven, 1):
            state = self.step(state, driven_t)
            outputs.append(state[0])
        return torch.cat(outputs)


class Scanned(Direction):
    """A scan, which `torch.export` keeps as one operator for any number of frames, and ONNX has too."""

    def through(self, driven: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
        from torch._higher_order_ops.scan import scan

        def step(before: tuple[Tensor, Tensor], driven_t: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            after = self.step(before, driven_t[None])
            return after, after[0][0].clone()

        outputs: Tensor = scan(step, state, driven)[1]
        return outputs
