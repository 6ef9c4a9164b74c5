"""What holds of every recurrent model: chunks, streams, delay, and what one that looks both ways sees."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from softstore.errors import InvalidInputError
from trainer.models import AcousticModel, BLSTMConfig, LSTMConfig, LSTMPConfig, RecurrentModel, State

KINDS = [LSTMPConfig, LSTMConfig]


def make_model(kind: type[LSTMPConfig | LSTMConfig], delay: int = 5) -> RecurrentModel:
    torch.manual_seed(1)
    return kind(3, 7, layers=2, cells=6, projection=4, delay=delay).build().double()


def random_frames(*shape: int) -> Tensor:
    return torch.randn(*shape, 3, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_chunks_gives_what_it_gives_whole(kind: type[LSTMPConfig | LSTMConfig]) -> None:
    model = make_model(kind)
    x = random_frames(50, 3)
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


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_crosses_a_chunk(kind: type[LSTMPConfig | LSTMConfig]) -> None:
    model = make_model(kind)
    hidden, states = model.steps(random_frames(4, 2), model.initial_state(2))
    assert hidden.requires_grad
    assert not any(part.requires_grad for state in states for part in state)


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_for_a_frame_has_heard_five_frames_more_and_no_others(
    kind: type[LSTMPConfig | LSTMConfig],
) -> None:
    model = make_model(kind, delay=5)
    x = random_frames(30)
    assert differing(model, x, frame=20) == [frame >= 15 for frame in range(30)]


@pytest.mark.parametrize("model", [make_model(LSTMPConfig), make_model(LSTMConfig)])
def test_posteriors_are_normalised(model: RecurrentModel) -> None:
    posteriors = model.log_posteriors(random_frames(9))
    assert posteriors.shape == (9, 7)
    assert math.isclose(float(posteriors.exp().sum()), 9, rel_tol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        make_model(LSTMPConfig),
        make_model(LSTMConfig),
        BLSTMConfig(3, 7, layers=2, cells=6).build().double(),
    ],
)
def test_utterances_side_by_side_do_not_touch_each_other(model: AcousticModel) -> None:
    utterances = [random_frames(n) for n in (17, 1, 30)]
    together = model.embed(utterances)
    torch.testing.assert_close(together, torch.cat([model.embed([u]) for u in utterances]))
    assert len(together) == 48


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_the_fast_one_is_pytorchs_own() -> None:
    model = LSTMConfig(3, 7, layers=2, cells=6, projection=4).build().double()
    model.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    lstm = nn.LSTM(3, 6, 2, proj_size=4).double()
    lstm.load_state_dict(model.lstm.state_dict())
    x = random_frames(8, 5)
    before = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 6, dtype=torch.float64)
    expected, after = lstm(x - model.mean, before)
    found, states = model.steps(x, [State(r, c) for r, c in zip(*before, strict=True)])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.stack([state.projected for state in states]), after[0])
    torch.testing.assert_close(torch.stack([state.cell for state in states]), after[1])


def test_both_ways_is_one_lstm_each_way_side_by_side() -> None:
    model = BLSTMConfig(3, 7, layers=1, cells=6).build().double()
    model.scale.fill_(2.0)
    ways = [nn.LSTM(3, 6).double() for _ in range(2)]
    weights = model.lstm.state_dict()
    for way, suffix in zip(ways, ["", "_reverse"], strict=True):
        way.load_state_dict({name: weights[name + suffix] for name in way.state_dict()})
    x = random_frames(9)
    forward, backward = ways[0](2 * x)[0], ways[1](2 * x.flip(0))[0].flip(0)
    torch.testing.assert_close(model.embed([x]), torch.cat([forward, backward], dim=1))


def test_both_ways_hears_everything() -> None:
    model = BLSTMConfig(3, 7, layers=2, cells=6).build().double()
    assert all(differing(model, random_frames(30), frame=20))


def test_a_projection_must_be_narrower_than_pytorchs_cells() -> None:
    assert LSTMPConfig(3, 7, cells=6, projection=6).build().config.projection == 6
    with pytest.raises(InvalidInputError, match="less than the 6 cells of an lstm, not 6"):
        LSTMConfig(3, 7, cells=6, projection=6)


def differing(model: AcousticModel, x: Tensor, frame: int) -> list[bool]:
    """Which outputs change when a frame does."""
    changed = x.clone()
    changed[frame] += 1
    return ((model.embed([x]) - model.embed([changed])).abs().amax(dim=1) > 0).tolist()
