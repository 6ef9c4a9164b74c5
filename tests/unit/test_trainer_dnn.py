"""The DNN's input: splicing and LDA."""

from __future__ import annotations

import pytest
import torch

from softstore.errors import InvalidInputError
from trainer.lda import LDA
from trainer.models import DNNConfig
from trainer.models.dnn import splice


def test_splicing_repeats_the_edges() -> None:
    features = torch.arange(4.0)[:, None] + torch.tensor([0.0, 0.5])
    spliced = splice(features, 2)
    assert spliced.shape == (4, 10)
    assert spliced[0, ::2].tolist() == [0, 0, 0, 1, 2]
    assert spliced[3, 1::2].tolist() == [1.5, 2.5, 3.5, 3.5, 3.5]


def test_one_frame_is_its_own_context() -> None:
    assert splice(torch.tensor([[7.0]]), 5).tolist() == [[7.0] * 11]


def make_lda() -> tuple[LDA, torch.Tensor, torch.Tensor]:
    """Two classes that differ along one oblique direction, drowned in noise along others."""
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (4000,))
    frames = torch.randn(4000, 5) * torch.tensor([9.0, 5.0, 1.0, 3.0, 7.0]) + 4
    frames[:, 2] += 4 * labels
    frames[:, 0] += frames[:, 2]
    lda = LDA(5, 3)
    for start in range(0, 4000, 1000):
        lda.add(frames[start : start + 1000], labels[start : start + 1000])
    return lda, frames, labels


def test_lda_keeps_what_tells_classes_apart_and_quietens_the_rest() -> None:
    lda, frames, labels = make_lda()
    transform, offset = lda.solve(5)
    outputs = frames @ transform.t() + offset
    torch.testing.assert_close(outputs.mean(0), torch.zeros(5), atol=1e-3, rtol=0)
    apart = (outputs[labels == 1].mean(0) - outputs[labels == 0].mean(0)).abs()
    between = (labels.float().var() * apart.square())[0]
    torch.testing.assert_close(outputs[:, 0].var(), between / outputs[:, 0].var(), atol=0.02, rtol=0)
    assert outputs[:, 0].var() > 0.7
    assert (outputs[:, 1:].var(0) < 0.01).all()


def test_lda_cannot_make_more_dimensions_than_there_are() -> None:
    lda, _, _ = make_lda()
    with pytest.raises(InvalidInputError, match="ask for fewer"):
        lda.solve(6)


def test_hidden_layers_see_whole_utterances_only() -> None:
    model = DNNConfig(2, 3, context=1, transform_dim=6, layers=2, hidden=4).build()
    model.transform.copy_(torch.eye(6))
    utterances = [torch.randn(5, 2), torch.randn(3, 2)]
    torch.testing.assert_close(model.embed(utterances), torch.cat([model.embed([u]) for u in utterances]))


def test_hidden_layers_are_sigmoids_if_asked_for() -> None:
    model = DNNConfig(2, 3, context=1, transform_dim=6, layers=2, hidden=4, activation="sigmoid").build()
    model.transform.copy_(torch.eye(6))
    x = torch.randn(5, 2)
    hidden = splice(x, 1)
    for layer in model.layers:
        hidden = torch.sigmoid(layer(hidden))
    torch.testing.assert_close(model.embed([x]), hidden)
    with pytest.raises(InvalidInputError, match="activation must be relu or sigmoid, not tanh"):
        DNNConfig(2, 3, activation="tanh")
