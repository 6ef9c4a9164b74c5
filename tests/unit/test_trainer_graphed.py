"""Steps for CUDA graphs: the same results, and nothing in them that a graph cannot hold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.models import LSTMConfig, LSTMPConfig, RecurrentModel
from trainer.models.graphed import Chunk, GraphedSteps, captured, replayed

SHAPE = (6, 4, 3)


def make_model() -> RecurrentModel:
    torch.manual_seed(0)
    return LSTMPConfig(3, 7, layers=2, cells=6, projection=4).build()


def gradients(model: RecurrentModel, hidden: Tensor) -> dict[str, Tensor]:
    """Of all weights that have one, after a step back."""
    model.zero_grad()
    hidden.square().sum().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("through", ["chunk", "graphed"])
def test_chunks_laid_flat_are_steps(through: str) -> None:
    model = make_model()
    chunk, graphed = Chunk(model), GraphedSteps(model)
    states = plain = model.initial_state(4)
    for _ in range(3):
        x = torch.randn(SHAPE)
        expected, plain = model.steps(x, plain)
        wanted = gradients(model, expected)
        hidden, states = replayed(chunk, x, states) if through == "chunk" else graphed(x, states)
        torch.testing.assert_close(hidden, expected, rtol=0, atol=0)
        torch.testing.assert_close(gradients(model, hidden), wanted, rtol=0, atol=0)
        torch.testing.assert_close(states, plain, rtol=0, atol=0)
        assert not any(part.requires_grad for state in states for part in state)


def test_nothing_waits_for_a_value() -> None:
    """On tensors without values, whatever asked for one would fail, as it would while a graph is captured."""
    model = make_model().to("meta")
    x = torch.empty(SHAPE, device="meta")
    hidden, states = model.steps(x, model.initial_state(4))
    found = gradients(model, hidden)
    assert {name: gradient.shape for name, gradient in found.items()} == {
        name: weight.shape for name, weight in model.named_parameters() if not name.startswith("output")
    }
    assert states[1].cell.shape == (4, 6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", [LSTMPConfig, LSTMConfig])
def test_a_graph_gives_what_steps_give(kind: type[LSTMPConfig | LSTMConfig]) -> None:
    torch.manual_seed(0)
    model: RecurrentModel = kind(3, 7, layers=2, cells=6, projection=4).build().cuda()
    graphed = GraphedSteps(model)
    states = plain = model.initial_state(4)
    for steps in (6, 6, 2, 6):
        x = torch.randn(steps, 4, 3, device="cuda")
        expected, plain = model.steps(x, plain)
        wanted = gradients(model, expected)
        hidden, states = graphed(x, states)
        torch.testing.assert_close(hidden, expected)
        torch.testing.assert_close(gradients(model, hidden), wanted)
        torch.testing.assert_close(states, plain)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_capturing_leaves_no_gradients() -> None:
    model = make_model().cuda()
    captured(model, torch.randn(SHAPE, device="cuda"), model.initial_state(4))
    assert all(parameter.grad is None for parameter in model.parameters())
