"""The LSTMP against its equations, one unit at a time, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from trainer.models import LSTMP, LSTMPConfig
from trainer.models.lstmp import CELL_CLIP, LSTMPLayer, State, _Recurrence


def by_the_equations(layer: LSTMPLayer, x: Tensor, state: State) -> Tensor:
    """Every step of every stream by the formulas of the module's docstring; differentiable by autograd."""
    w_i, w_f, w_o, w_g = layer.input_weight.chunk(4)
    v_i, v_f, v_o, v_g = layer.recurrent_weight.chunk(4)
    b_i, b_f, b_o, b_g = layer.bias.chunk(4)
    p_i, p_f, p_o = layer.peepholes
    outputs = []
    r, c = state
    for frame in x:
        i = torch.sigmoid(frame @ w_i.t() + r @ v_i.t() + p_i * c + b_i)
        f = torch.sigmoid(frame @ w_f.t() + r @ v_f.t() + p_f * c + b_f)
        g = torch.tanh(frame @ w_g.t() + r @ v_g.t() + b_g)
        c = (f * c + i * g).clamp(-CELL_CLIP, CELL_CLIP)
        o = torch.sigmoid(frame @ w_o.t() + r @ v_o.t() + p_o * c + b_o)
        r = (o * torch.tanh(c)) @ layer.projection.t()
        outputs.append(r)
    return torch.stack(outputs)


def make_layer(seed: int = 0) -> tuple[LSTMPLayer, Tensor, State]:
    torch.manual_seed(seed)
    layer = LSTMPLayer(3, 5, 2).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -1, 1)
    x = torch.randn(6, 4, 3, dtype=torch.float64, requires_grad=True)
    state = State(torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64))
    return layer, x, state


@pytest.mark.parametrize("cell", [None, 49.9, 200.0], ids=["small cells", "about to clip", "beyond the clip"])
def test_outputs_and_gradients_follow_the_equations(cell: float | None) -> None:
    layer, x, state = make_layer()
    if cell is not None:
        state = State(state.projected, torch.full_like(state.cell, cell))
        with torch.no_grad():
            layer.bias.fill_(2.0)
            layer.peepholes.mul_(0.01)
    parameters = [x, *layer.parameters()]
    weights = torch.randn(6, 4, 2, dtype=torch.float64)
    fast, _ = layer(x, state)
    slow = by_the_equations(layer, x, state)
    torch.testing.assert_close(fast, slow)
    ours = torch.autograd.grad((fast * weights).sum(), parameters)
    theirs = torch.autograd.grad((slow * weights).sum(), parameters)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)


def test_gradients_are_those_of_finite_differences() -> None:
    layer, x, state = make_layer()

    def outputs(*inputs: Tensor) -> Tensor:
        found: Tensor = _Recurrence.apply(*inputs, *state)[0]  # type: ignore[no-untyped-call]
        return found

    assert torch.autograd.gradcheck(outputs, (x, *layer.parameters()))


def make_model(delay: int = 5) -> LSTMP:
    torch.manual_seed(1)
    return LSTMPConfig(3, 7, layers=2, cells=6, projection=4, delay=delay).build().double()


def test_a_sequence_in_chunks_gives_what_it_gives_whole() -> None:
    model = make_model()
    x = torch.randn(50, 3, 3, dtype=torch.float64)
    whole, last = model.steps(x, model.initial_state(3))
    states = model.initial_state(3)
    pieces = []
    for chunk in torch.split(x, 20):
        hidden, states = model.steps(chunk, states)
        pieces.append(hidden)
    torch.testing.assert_close(torch.cat(pieces), whole)
    for ours, theirs in zip(states, last, strict=True):
        torch.testing.assert_close(ours.cell, theirs.cell)
        torch.testing.assert_close(ours.projected, theirs.projected)


def test_no_gradient_crosses_a_chunk() -> None:
    model = make_model()
    hidden, states = model.steps(torch.randn(4, 2, 3, dtype=torch.float64), model.initial_state(2))
    assert hidden.requires_grad
    assert not any(part.requires_grad for state in states for part in state)


def test_utterances_side_by_side_do_not_touch_each_other() -> None:
    model = make_model()
    utterances = [torch.randn(n, 3, dtype=torch.float64) for n in (30, 1, 17)]
    together = model.embed(utterances)
    torch.testing.assert_close(together, torch.cat([model.embed([u]) for u in utterances]))
    assert len(together) == 48


def test_the_output_for_a_frame_has_heard_five_frames_more_and_no_others() -> None:
    model = make_model(delay=5)
    x = torch.randn(30, 3, dtype=torch.float64)
    changed = x.clone()
    changed[20] += 1
    different = (model.embed([x]) - model.embed([changed])).abs().amax(dim=1) > 0
    assert different.tolist() == [frame >= 15 for frame in range(30)]


def test_posteriors_are_normalised() -> None:
    posteriors = make_model().log_posteriors(torch.randn(9, 3, dtype=torch.float64))
    assert posteriors.shape == (9, 7)
    assert math.isclose(float(posteriors.exp().sum()), 9, rel_tol=1e-9)
