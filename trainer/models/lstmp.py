"""The student: a one-way LSTM with peepholes and a recurrent projection (Sak et al. 2014; Kaldi's nnet1).

With gates i, f, o, candidate g, cell c and the projected output r, at every step

    i = σ(W_ix x + W_ir r' + p_i ⊙ c' + b_i)        c = clip(f ⊙ c' + i ⊙ g)
    f = σ(W_fx x + W_fr r' + p_f ⊙ c' + b_f)        o = σ(W_ox x + W_or r' + p_o ⊙ c + b_o)
    g = tanh(W_gx x + W_gr r' + b_g)                r = W_rm (o ⊙ tanh c)

where ' marks the step before. The peepholes p are diagonal; there is no non-recurrent projection and no
forget bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.models.recurrence import Recurrence
from trainer.models.recurrent import RecurrentConfig, RecurrentModel, State, initialise


@dataclass(frozen=True, slots=True)
class LSTMPConfig(RecurrentConfig):
    """Kaldi's LSTM; the paper's sizes, by default."""

    kind: ClassVar[str] = "lstmp"

    def build(self) -> LSTMP:
        return LSTMP(self)


class LSTMP(RecurrentModel):
    """Global normalisation → LSTMP layers → logits."""

    config: LSTMPConfig

    def __init__(self, config: LSTMPConfig) -> None:
        super().__init__(config)
        self.config = config
        widths = [config.input_dim, *[config.projection] * (config.layers - 1)]
        self.layers = nn.ModuleList(LSTMPLayer(width, config.cells, config.projection) for width in widths)
        self.output = nn.Linear(config.projection, config.class_count)
        initialise(self)

    def steps(self, features: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        x = self.normalised(features)
        after = []
        for layer, state in zip(self.layers, states, strict=True):
            x, state_after = layer(x, state)
            after.append(state_after)
        return x, after


class LSTMPLayer(nn.Module):
    """One layer. Gates lie in the order i, f, o, g along the first axis of the weights."""

    def __init__(self, input_dim: int, cells: int, projection: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(4 * cells, input_dim))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * cells, projection))
        self.bias = nn.Parameter(torch.empty(4 * cells))
        self.peepholes = nn.Parameter(torch.empty(3, cells))  # of i, f and o
        self.projection = nn.Parameter(torch.empty(projection, cells))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """(steps, streams, input_dim) → r of all steps, (steps, streams, projection), and the last state.

        No gradient flows into ``state``.
        """
        projected, cell = Recurrence.apply(  # type: ignore[no-untyped-call]
            inputs,
            self.input_weight,
            self.recurrent_weight,
            self.bias,
            self.peepholes,
            self.projection,
            *state,
        )
        return projected, State(projected[-1].detach(), cell)
