"""Several utterances in one forward pass: each gets what it would get alone."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from softstore.teacher import Batched, Movable
from trainer.models import DNN, BLSTMConfig, DNNConfig, LSTMConfig, LSTMPConfig
from trainer.teacher import CheckpointTeacher

DIMENSIONS, CLASSES = 6, 13
LENGTHS = [1, 40, 7, 3, 40, 90]


def dnn() -> CheckpointTeacher:
    torch.manual_seed(0)
    model = DNN(DNNConfig(DIMENSIONS, CLASSES, transform_dim=20, layers=2, hidden=32))
    model.transform.normal_()
    torch.nn.init.normal_(model.output.weight)
    return CheckpointTeacher(model.eval(), "dnn", {})


def recurrent(config: LSTMPConfig | LSTMConfig | BLSTMConfig) -> CheckpointTeacher:
    torch.manual_seed(0)
    return CheckpointTeacher(config.build().eval(), config.kind, {})


def lstmp() -> CheckpointTeacher:
    return recurrent(LSTMPConfig(DIMENSIONS, CLASSES, layers=2, cells=16, projection=8))


def lstm() -> CheckpointTeacher:
    return recurrent(LSTMConfig(DIMENSIONS, CLASSES, layers=2, cells=16, projection=8))


def blstm() -> CheckpointTeacher:
    return recurrent(BLSTMConfig(DIMENSIONS, CLASSES, layers=2, cells=16))


def utterances(seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, DIMENSIONS, generator=generator) for length in LENGTHS]


@pytest.fixture(params=[dnn, lstmp, lstm, blstm])
def teacher(request: pytest.FixtureRequest) -> CheckpointTeacher:
    made: CheckpointTeacher = request.param()
    return made


def test_a_batch_says_what_one_utterance_at_a_time_says(teacher: CheckpointTeacher) -> None:
    assert isinstance(teacher, Batched)
    given = utterances()
    found = teacher.log_posteriors_batch(given)
    assert [tuple(one.shape) for one in found] == [(length, CLASSES) for length in LENGTHS]
    for one, features in zip(found, given, strict=True):
        torch.testing.assert_close(one, teacher.log_posteriors(features), atol=1e-5, rtol=1e-5)


def test_no_utterance_sees_its_neighbours(teacher: CheckpointTeacher) -> None:
    given, other = utterances(), utterances(2)
    before = teacher.log_posteriors_batch(given)
    for alone in range(len(given)):
        # Neighbours of another kind, far outside of what is usual.
        mixed = [given[n] if n == alone else 1e3 * other[n] for n in range(len(given))]
        after = teacher.log_posteriors_batch(mixed)
        torch.testing.assert_close(after[alone], before[alone], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(after[alone - 1], before[alone - 1])


def test_one_utterance_is_what_the_model_says_to_the_last_bit(teacher: CheckpointTeacher) -> None:
    for features in utterances():
        assert torch.equal(teacher.log_posteriors(features), teacher.model.log_posteriors(features))


def test_it_moves_and_travels(teacher: CheckpointTeacher) -> None:
    assert isinstance(teacher, Movable)
    moved = pickle.loads(pickle.dumps(teacher.to(torch.device("cpu"))))  # noqa: S301
    assert isinstance(moved, CheckpointTeacher)
    features = utterances()[1]
    assert torch.equal(moved.log_posteriors(features), teacher.log_posteriors(features))
