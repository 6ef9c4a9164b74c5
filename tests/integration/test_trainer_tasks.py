"""An epoch of batches is what whole utterances one after another are, on one rank and on two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch

from softstore.errors import InvalidInputError
from tests.learnable_store import STUDENT, TEACHER, make_learnable_store
from trainer.config import StudentConfig
from trainer.evaluation import validate
from trainer.examples import Examples, open_examples
from trainer.model_shapes import BLSTMShape, DNNShape, LSTMShape, StudentShape
from trainer.objectives import Kind, Objective, Outcome
from trainer.ranks import Ranks
from trainer.stream_task import StreamTask
from trainer.task import Task
from trainer.teacher import FrameTask
from trainer.utterance_task import UtteranceTask

OBJECTIVE = Objective(Kind.REG, temperature=2.0)
RANKS = {"alone": [Ranks()], "two": [Ranks(rank, 2) for rank in range(2)]}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return open_examples(make_learnable_store(tmp_path_factory.mktemp("tasks")))


def sums(outcomes: Iterable[Outcome]) -> tuple[float, int, int]:
    taken = [(float(outcome.loss.detach()), outcome.frames, outcome.correct) for outcome in outcomes]
    loss, frames, correct = map(sum, zip(*taken, strict=True))
    return loss, int(frames), int(correct)


def students(examples: Examples, config: StudentConfig, ranks: list[Ranks]) -> list[Task]:
    shape = config.model
    if isinstance(shape, LSTMShape):
        return [StreamTask([examples], config, shape, mine) for mine in ranks]
    return [UtteranceTask([examples], config, shape, mine) for mine in ranks]


@pytest.mark.parametrize("ranks", RANKS.values(), ids=RANKS)
@pytest.mark.parametrize(
    "shape",
    [
        STUDENT.model,
        LSTMShape("lstm", cells=24, projection=16, delay=1),
        DNNShape(layers=1, hidden=16, context=1),
        BLSTMShape(layers=1, cells=8),
    ],
    ids=lambda shape: shape.kind,
)
def test_a_students_epoch_is_all_frames_once(
    examples: Examples, shape: StudentShape, ranks: list[Ranks]
) -> None:
    config = replace(STUDENT, model=shape, batch_frames=700)
    tasks = students(examples, config, ranks)
    for task in tasks:
        task.prepare()
        # Its last layer starts at zero, where nothing could be told apart.
        torch.nn.init.normal_(task.model.output.weight, generator=torch.manual_seed(1))
    loss, frames, correct = sums(validate(tasks[0].model, [examples], "train", OBJECTIVE))
    found = [sums(task.train(OBJECTIVE, epoch=1)) for task in tasks]
    assert sum(part[1] for part in found) == frames == tasks[0].train_frames
    assert sum(part[0] for part in found) == pytest.approx(loss, rel=1e-4)
    assert sum(part[2] for part in found) == pytest.approx(correct, abs=2)
    together = [sums(task.validate(OBJECTIVE)) for task in tasks]
    whole = sums(validate(tasks[0].model, [examples], "cv", OBJECTIVE))
    assert tuple(map(sum, zip(*together, strict=True))) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("ranks", RANKS.values(), ids=RANKS)
@pytest.mark.parametrize("block_frames", [500, 4_000_000])
def test_a_teachers_epoch_is_all_frames_once(
    examples: Examples, block_frames: int, ranks: list[Ranks]
) -> None:
    hard = Objective(Kind.HARD)
    tasks = [FrameTask(examples, replace(TEACHER, block_frames=block_frames), mine) for mine in ranks]
    for task in tasks:
        task.prepare()
        torch.nn.init.normal_(task.model.output.weight, generator=torch.manual_seed(1))
    loss, frames, _ = sums(validate(tasks[0].model, [examples], "train", hard))
    found = [sums(task.train(hard, epoch=1)) for task in tasks]
    assert sum(part[1] for part in found) == frames
    assert sum(part[0] for part in found) == pytest.approx(loss, rel=1e-4)


def test_streams_that_cannot_be_divided_are_refused(examples: Examples) -> None:
    config = replace(STUDENT, streams=3)
    (task,) = students(examples, config, [Ranks(0, 2)])
    with pytest.raises(InvalidInputError, match="3 streams cannot be shared by 2 ranks"):
        next(task.train(OBJECTIVE, epoch=1))
