"""The student: a one-way LSTM with peepholes and a recurrent projection (Sak et al. 2014; Kaldi's nnet1).

With gates i, f, o, candidate g, cell c and the projected output r, at every step

    i = σ(W_ix x + W_ir r' + p_i ⊙ c' + b_i)        c = clip(f ⊙ c' + i ⊙ g)
    f = σ(W_fx x + W_fr r' + p_f ⊙ c' + b_f)        o = σ(W_ox x + W_or r' + p_o ⊙ c + b_o)
    g = tanh(W_gx x + W_gr r' + b_g)                r = W_rm (o ⊙ tanh c)

where ' marks the step before. The peepholes p are diagonal; there is no non-recurrent projection and no
forget bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainer.models.base import AcousticModel, ModelConfig

CELL_CLIP = 50.0
"""Kaldi's bound on |c|."""

INITIAL_RANGE = 0.1
"""Peepholes and biases start uniformly in ± this, as in Kaldi."""


@dataclass(frozen=True, slots=True)
class LSTMPConfig(ModelConfig):
    """The paper's student, by default.

    Attributes:
        layers: how many, each reading the projection of the one below.
        cells: memory cells of a layer.
        projection: width of the recurrent projection.
        delay: the output for frame t comes with the input of frame t + delay.
    """

    layers: int = 2
    cells: int = 800
    projection: int = 512
    delay: int = 5

    def __post_init__(self) -> None:
        self.check_positive("layers", "cells", "projection")

    def build(self) -> LSTMP:
        return LSTMP(self)


class State(NamedTuple):
    """What a layer carries from one chunk to the next: r (streams, projection) and c (streams, cells)."""

    projected: Tensor
    cell: Tensor


class LSTMP(AcousticModel):
    """Global normalisation → LSTMP layers → logits.

    The normalisation (buffers ``mean`` and ``scale``, (input_dim,)) is set before training.
    """

    def __init__(self, config: LSTMPConfig) -> None:
        super().__init__(config)
        self.config = config
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(config.input_dim))
        self.register_buffer("scale", torch.ones(config.input_dim))
        widths = [config.input_dim, *[config.projection] * (config.layers - 1)]
        self.layers = nn.ModuleList(LSTMPLayer(width, config.cells, config.projection) for width in widths)
        self.output = nn.Linear(config.projection, config.class_count)
        _initialise(self)

    def initial_state(self, streams: int) -> list[State]:
        """Every layer's state at the start of an utterance: zeros."""
        return [layer.initial_state(streams) for layer in self._layers()]

    def steps(self, features: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Run all layers over a chunk.

        Args:
            features: (steps, streams, input_dim).
            states: from `initial_state` or the chunk before.

        Returns:
            (steps, streams, projection), and the states after the last step, cut off from the graph.
        """
        x = (features - self.mean) * self.scale
        after = []
        for layer, state in zip(self._layers(), states, strict=True):
            x, state_after = layer(x, state)
            after.append(state_after)
        return x, after

    def embed(self, utterances: Sequence[Tensor]) -> Tensor:
        delay = self.config.delay
        lengths = [len(utterance) for utterance in utterances]
        padded = [torch.cat([u, u[-1:].expand(delay, -1)]) for u in utterances]
        hidden, _ = self.steps(nn.utils.rnn.pad_sequence(padded), self.initial_state(len(padded)))
        return torch.cat([hidden[delay : delay + n, stream] for stream, n in enumerate(lengths)])

    def classify(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.output(hidden)
        return logits

    def _layers(self) -> list[LSTMPLayer]:
        return [layer for layer in self.layers if isinstance(layer, LSTMPLayer)]


class LSTMPLayer(nn.Module):
    """One layer. Gates lie in the order i, f, o, g along the first axis of the weights."""

    def __init__(self, input_dim: int, cells: int, projection: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(4 * cells, input_dim))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * cells, projection))
        self.bias = nn.Parameter(torch.empty(4 * cells))
        self.peepholes = nn.Parameter(torch.empty(3, cells))  # of i, f and o
        self.projection = nn.Parameter(torch.empty(projection, cells))

    def initial_state(self, streams: int) -> State:
        width, cells = self.projection.shape
        return State(self.projection.new_zeros(streams, width), self.projection.new_zeros(streams, cells))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """(steps, streams, input_dim) → r of all steps, (steps, streams, projection), and the last state.

        Training is truncated at the chunk's start: no gradient flows into ``state``.
        """
        projected, cell = _Recurrence.apply(  # type: ignore[no-untyped-call]
            inputs,
            self.input_weight,
            self.recurrent_weight,
            self.bias,
            self.peepholes,
            self.projection,
            *state,
        )
        return projected, State(projected[-1].detach(), cell)


class _Recurrence(torch.autograd.Function):
    """All steps of one layer, differentiated by hand.

    The time loops do what depends on the neighbouring step and nothing else; everything that does not is one
    operation over all steps, above all the products that give the weights' gradients.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        input_weight: Tensor,
        recurrent_weight: Tensor,
        bias: Tensor,
        peepholes: Tensor,
        projection: Tensor,
        projected_before: Tensor,
        cell_before: Tensor,
    ) -> tuple[Tensor, Tensor]:
        steps, streams, _ = inputs.shape
        width, cells = projection.shape
        gates = torch.addmm(bias, inputs.flatten(0, 1), input_weight.t()).view(steps, streams, 4, cells)
        # r and c have the initial state in front: what came before each step is a view of them.
        r = torch.cat([projected_before[None], inputs.new_empty(steps, streams, width)])
        c = torch.cat([cell_before[None], inputs.new_empty(steps, streams, cells)])
        h, m = (inputs.new_empty(steps, streams, cells) for _ in range(2))
        # Laid out for the loops: small products are up to twice as quick with contiguous right-hand sides.
        recurrent, project = recurrent_weight.t().contiguous(), projection.t().contiguous()
        peephole_if, peephole_o = peepholes[:2], peepholes[2]
        r_before, c_before = projected_before, cell_before
        everything = (gates, r[1:], c[1:], h, m)
        for gates_t, r_t, c_t, h_t, m_t in zip(*(x.unbind(0) for x in everything), strict=True):
            gates_t.flatten(1).addmm_(r_before, recurrent)
            gates_t[:, :2].addcmul_(c_before[:, None], peephole_if).sigmoid_()
            i_t, f_t, o_t, g_t = gates_t.unbind(1)
            torch.mul(f_t, c_before, out=c_t).addcmul_(i_t, g_t.tanh_()).clamp_(-CELL_CLIP, CELL_CLIP)
            o_t.addcmul_(c_t, peephole_o).sigmoid_()
            torch.mul(o_t, torch.tanh(c_t, out=h_t), out=m_t)
            torch.mm(m_t, project, out=r_t)
            r_before, c_before = r_t, c_t
        last_cell = c[-1].clone()
        ctx.mark_non_differentiable(last_cell)
        ctx.save_for_backward(
            inputs, input_weight, recurrent_weight, peepholes, projection, gates, r, c, h, m
        )
        return r[1:].clone(), last_cell

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, input_weight, recurrent_weight, peepholes, projection, gates, r, c, h, m = ctx.saved_tensors
        i, f, o, g = gates.unbind(2)
        p_i, p_f, p_o = peepholes
        c_before, c = c[:-1], c[1:]

        # Local derivatives, for all steps at once: of m by a_o (m_to_o) and by c (m_to_c), of c by a_i, a_f
        # and a_g (c_to_gates) and by the cell before (c_to_before), where a are the gates before their
        # nonlinearities. What reaches a clipped cell goes no further.
        m_to_o = torch.addcmul(m, m, o, value=-1)
        m_to_c = torch.addcmul(o, m, h, value=-1).addcmul_(m_to_o, p_o)
        c_to_gates = torch.empty_like(gates[:, :, :3])
        ig, cf = i * g, c_before * f
        torch.addcmul(ig, ig, i, value=-1, out=c_to_gates[:, :, 0])
        torch.addcmul(cf, cf, f, value=-1, out=c_to_gates[:, :, 1])
        torch.addcmul(i, ig, g, value=-1, out=c_to_gates[:, :, 2])
        c_to_before = torch.addcmul(f, c_to_gates[:, :, 0], p_i).addcmul_(c_to_gates[:, :, 1], p_f)
        lowest, highest = c.aminmax()
        if lowest <= -CELL_CLIP or highest >= CELL_CLIP:
            clipped = c.abs() >= CELL_CLIP
            c_to_gates.masked_fill_(clipped[:, :, None], 0)
            c_to_before.masked_fill_(clipped, 0)

        d_gates = torch.empty_like(gates)
        d_r = grad_outputs[0].clone()
        d_c = torch.zeros_like(c[0])
        everything = (d_gates, d_r, m_to_o, m_to_c, c_to_gates, c_to_before)
        after: Tensor | None = None
        for d_gates_t, d_r_t, m_to_o_t, m_to_c_t, c_to_gates_t, c_to_before_t in reversed(
            list(zip(*(x.unbind(0) for x in everything), strict=True))
        ):
            if after is not None:
                d_r_t.addmm_(after.flatten(1), recurrent_weight)
            d_m = torch.mm(d_r_t, projection)
            d_c.addcmul_(d_m, m_to_c_t)
            torch.mul(d_m, m_to_o_t, out=d_gates_t[:, 2])
            torch.mul(d_c[:, None], c_to_gates_t[:, :2], out=d_gates_t[:, :2])
            torch.mul(d_c, c_to_gates_t[:, 2], out=d_gates_t[:, 3])
            d_c.mul_(c_to_before_t)
            after = d_gates_t

        flat = d_gates.flatten(2).flatten(0, 1)
        d_inputs = (flat @ input_weight).view_as(inputs) if ctx.needs_input_grad[0] else None
        d_peepholes = torch.cat(
            [
                (d_gates[:, :, :2] * c_before[:, :, None]).sum(dim=(0, 1)),
                (d_gates[:, :, 2:3] * c[:, :, None]).sum(dim=(0, 1)),
            ]
        )
        return (
            d_inputs,
            flat.t() @ inputs.flatten(0, 1),
            flat.t() @ r[:-1].flatten(0, 1),
            flat.sum(dim=0),
            d_peepholes,
            d_r.flatten(0, 1).t() @ m.flatten(0, 1),
            None,
            None,
        )


def _initialise(model: LSTMP) -> None:
    """Matrices get variance 1 / inputs: about Kaldi's ± 0.1 at the paper's sizes, and more below."""
    for name, parameter in model.named_parameters():
        matrix = name.endswith(("weight", "projection"))
        bound = math.sqrt(3 / parameter.shape[1]) if matrix else INITIAL_RANGE
        nn.init.uniform_(parameter, -bound, bound)
