"""The time loops of an LSTMP layer (see `trainer.models.lstmp`), differentiated by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CELL_CLIP = 50.0
"""Kaldi's bound on |c|."""


class Recurrence(torch.autograd.Function):
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
        if _may_be_clipped(c):
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


def _may_be_clipped(cells: Tensor) -> bool:
    """Whether to look for clipped cells. Only a CPU asks first: on a GPU the answer costs more than the work,
    and a CUDA graph cannot wait for it."""
    if cells.device.type != "cpu":
        return True
    lowest, highest = cells.aminmax()
    return bool(lowest <= -CELL_CLIP or highest >= CELL_CLIP)
