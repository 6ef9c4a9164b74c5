"""The LSTMP against its equations, in tensors and one unit at a time, in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from trainer.models import LSTMP, LSTMPConfig, State
from trainer.models.lstmp import LSTMPLayer
from trainer.models.recurrence import CELL_CLIP, Recurrence


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
        found: Tensor = Recurrence.apply(*inputs, *state)[0]  # type: ignore[no-untyped-call]
        return found

    assert torch.autograd.gradcheck(outputs, (x, *layer.parameters()))


def test_gradients_stop_at_a_chunks_start_and_the_state_goes_on() -> None:
    layer, x, state = make_layer()
    weights = torch.randn(6, 4, 2, dtype=torch.float64)
    first, between = layer(x[:2], state)
    second, _ = layer(x[2:], between)
    whole = by_the_equations(layer, x, state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    cut = by_the_equations(layer, x[2:], State(between.projected.detach(), between.cell.detach()))
    parameters = [x, *layer.parameters()]
    losses = [(outputs * weights[2:]).sum() for outputs in (second, cut, whole[2:])]
    ours, theirs, untruncated = (torch.autograd.grad(loss, parameters) for loss in losses)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)
    assert not ours[0][:2].any()
    assert untruncated[0][:2].any()


Numbers = list[list[float]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(x: list[float], y: list[float]) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def one_unit_at_a_time(layer: Mapping[str, Numbers], x: Numbers) -> Numbers:
    """One utterance through a layer, number by number, from the start."""
    cells = len(layer["projection"][0])
    r, c = [0.0] * len(layer["projection"]), [0.0] * cells
    outputs = []
    for frame in x:
        m = [0.0] * cells
        before = list(r)
        for n in range(cells):
            drive = [
                dot(layer["input_weight"][gate * cells + n], frame)
                + dot(layer["recurrent_weight"][gate * cells + n], before)
                + layer["bias"][0][gate * cells + n]
                for gate in range(4)
            ]
            i = sigmoid(drive[0] + layer["peepholes"][0][n] * c[n])
            f = sigmoid(drive[1] + layer["peepholes"][1][n] * c[n])
            c[n] = min(max(f * c[n] + i * math.tanh(drive[3]), -50.0), 50.0)
            m[n] = sigmoid(drive[2] + layer["peepholes"][2][n] * c[n]) * math.tanh(c[n])
        r = [dot(row, m) for row in layer["projection"]]
        outputs.append(r)
    return outputs


def as_rows(weight: Tensor) -> Tensor:
    """A bias is one row."""
    return weight.view(-1, weight.shape[-1])


def numbers(model: LSTMP) -> list[dict[str, Numbers]]:
    """Each layer's weights."""
    return [
        {name: as_rows(weight).tolist() for name, weight in layer.named_parameters()}
        for layer in model.layers
    ]


def embedded(model: LSTMP, layers: list[dict[str, Numbers]], x: Tensor) -> Numbers:
    """What `LSTMP.embed` says of one utterance: normalised, prolonged by the delay, and that cut off."""
    mean, scale, delay = model.mean.tolist(), model.scale.tolist(), model.config.delay
    prolonged = x.tolist() + [x[-1].tolist()] * delay
    hidden: Numbers = [
        [(v - m) * s for v, m, s in zip(frame, mean, scale, strict=True)] for frame in prolonged
    ]
    for layer in layers:
        hidden = one_unit_at_a_time(layer, hidden)
    return hidden[delay:]


def make_model() -> LSTMP:
    torch.manual_seed(1)
    model = LSTMPConfig(2, 7, layers=2, cells=3, projection=2, delay=2).build().double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -1, 1)
    model.mean.uniform_(-1, 1)
    model.scale.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("clips", [False, True])
def test_a_model_is_its_equations_number_by_number(clips: bool) -> None:
    model = make_model()
    x = torch.randn(60, 2, dtype=torch.float64)
    if clips:
        # All gates open, and a candidate that is always 1: a cell grows by one a frame.
        with torch.no_grad():
            for layer in model.layers:
                assert isinstance(layer, LSTMPLayer)
                layer.bias.fill_(60.0)
    found = model.embed([x])
    torch.testing.assert_close(found, torch.tensor(embedded(model, numbers(model), x), dtype=torch.float64))
    _, states = model.steps(x[:, None], model.initial_state(1))
    assert any(bool((state.cell.abs() >= CELL_CLIP).any()) for state in states) == clips


def test_gradients_are_the_slopes_of_the_equations_number_by_number() -> None:
    model = make_model()
    x = torch.randn(6, 2, dtype=torch.float64)
    model.embed([x]).square().sum().backward()  # type: ignore[no-untyped-call]
    step = 1e-5

    def loss(layers: list[dict[str, Numbers]]) -> float:
        return sum(value * value for frame in embedded(model, layers, x) for value in frame)

    for number, layer in enumerate(model.layers):
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None
            gradient = as_rows(parameter.grad)
            for row, column in [(0, 0), (len(gradient) - 1, gradient.shape[1] - 1)]:
                moved = []
                for sign in (1, -1):
                    layers = numbers(model)
                    layers[number][name][row][column] += sign * step
                    moved.append(loss(layers))
                slope = (moved[0] - moved[1]) / (2 * step)
                assert float(gradient[row, column]) == pytest.approx(slope, rel=1e-6, abs=1e-9)
