"""Several processes train one model, as ``torchrun`` starts them: they see and learn what one would."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.learnable_store import STUDENT, TEACHER, make_learnable_store
from tests.processes import Process, process, softstore, wait_for
from trainer.config import LoopConfig, StudentConfig, TeacherConfig
from trainer.config_file import to_toml
from trainer.examples import open_examples
from trainer.loop import Run
from trainer.metrics import EpochMetrics
from trainer.metrics_files import METRICS, STEPS
from trainer.student import train_student
from trainer.task import Silent
from trainer.teacher import train_teacher
from trainer.training_state import load_state

LONG = replace(STUDENT, epochs=10, loop=LoopConfig(log_steps=1, checkpoint_seconds=0, device="cpu"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_learnable_store(tmp_path_factory.mktemp("ranks"))


@contextmanager
def two_ranks(out: Path, source: Path, config: StudentConfig | TeacherConfig) -> Iterator[Process]:
    command = "train" if isinstance(config, StudentConfig) else "teacher train"
    out.mkdir()
    (out / "run.toml").write_text(to_toml(config, str(source)))
    started = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *softstore())
    with process(
        *started,
        *command.split(),
        "--config",
        out / "run.toml",
        "--out",
        out,
        environment={"OMP_NUM_THREADS": "1"},
    ) as running:
        yield running


def trained(out: Path) -> list[EpochMetrics]:
    return [EpochMetrics(**json.loads(line)) for line in (out / METRICS).read_text().splitlines()]


def assert_same(found: list[EpochMetrics], expected: Run) -> None:
    """To float tolerance; a handful of frames may fall on the other side."""
    assert len(found) == len(expected.history)
    for ours, theirs in zip(found, expected.history, strict=True):
        assert (ours.objective, ours.accepted) == (theirs.objective, theirs.accepted)
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert ours.cv_loss == pytest.approx(theirs.cv_loss, rel=1e-4)
        assert ours.cv_accuracy == pytest.approx(theirs.cv_accuracy, abs=0.5)


def test_two_ranks_stopped_and_one_that_goes_on_learn_what_one_would(store: Path, tmp_path: Path) -> None:
    alone = train_student(open_examples(store), LONG, tmp_path / "alone", Silent())
    out = tmp_path / "out"
    with two_ranks(out, store, LONG) as running:
        wait_for(lambda: (out / STEPS).exists() and (out / STEPS).read_text().count("\n") > 60, running)
        running.send(signal.SIGTERM)
        assert running.end().code != 0
    state = load_state(out)
    assert state is not None
    assert state.progress["steps"] >= 60
    assert len(state.tensors["carried.0.cell"]) == LONG.streams
    assert_same(train_student(open_examples(store), LONG, out, Silent()).history, alone)


def test_two_ranks_train_a_teacher_to_the_end(store: Path, tmp_path: Path) -> None:
    corpus = store.parent / "corpus"
    with two_ranks(tmp_path / "out", corpus, TEACHER) as running:
        ended = running.end()
    assert ended.code == 0, ended
    assert ended.output.count("FA cv") == TEACHER.epochs + 1, "one rank speaks"
    alone = train_teacher(open_examples(corpus), TEACHER, tmp_path / "alone", Silent())
    assert_same(trained(tmp_path / "out"), alone)
