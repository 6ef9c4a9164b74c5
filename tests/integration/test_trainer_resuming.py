"""Runs that are interrupted anywhere go on to the same bits: cut within epochs, killed, and stopped."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from softstore.cli import build
from softstore.errors import FormatError, SoftstoreError
from tests.learnable_store import STUDENT, TEACHER, PullsThePlug, make_learnable_store
from tests.processes import Process, process, softstore, wait_for
from trainer.checkpoint import WEIGHTS, load_model
from trainer.config import LoopConfig, StudentConfig, Targets
from trainer.config_file import CONFIG, to_toml
from trainer.examples import open_examples
from trainer.loop import Run
from trainer.metrics_files import METRICS, STEPS
from trainer.model_shapes import DNNShape
from trainer.optimizers import AdamWConfig
from trainer.schedule import CosineConfig
from trainer.student import train_student
from trainer.task import Silent
from trainer.teacher import train_teacher
from trainer.training_state import load_state, save_state

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_learnable_store(tmp_path_factory.mktemp("resuming"))


ADAM = replace(STUDENT, optimizer=AdamWConfig(0.01), schedule=CosineConfig(warmup_steps=20))
DNN = replace(STUDENT, model=DNNShape(layers=1, hidden=16, context=1), batch_frames=256, targets=Targets.REG)


def student(store: Path, config: StudentConfig, out: Path, display: Silent | None = None) -> Run:
    return train_student(open_examples(store), config, out, display or Silent())


def losses(run: Run) -> list[tuple[float, float]]:
    return [(metrics.train_loss, metrics.cv_loss) for metrics in run.history]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("config", "cuts"),
    [(STUDENT, (2, 5, 30, 20, 11)), (ADAM, (2, 5, 30, 20, 11)), (DNN, (2, 5, 4))],
    ids=["sgd", "adamw", "dnn"],
)
def test_a_run_cut_within_epochs_goes_on_to_the_same_bits(
    store: Path, tmp_path: Path, config: StudentConfig, cuts: Sequence[int]
) -> None:
    whole = student(store, config, tmp_path / "whole")
    saving = replace(config, loop=replace(config.loop, checkpoint_steps=3))
    for cut in cuts:
        with pytest.raises(KeyboardInterrupt):
            student(store, saving, tmp_path / "cut", PullsThePlug(cut))
    rest = student(store, saving, tmp_path / "cut")
    assert losses(rest) == losses(whole)
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    steps = lines(tmp_path / "cut" / STEPS)
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert [line["loss"] for line in steps] == [line["loss"] for line in lines(tmp_path / "whole" / STEPS)]


@pytest.mark.parametrize("block_frames", [500, 4_000_000])
def test_a_teacher_cut_within_epochs_goes_on_to_the_same_bits(
    store: Path, tmp_path: Path, block_frames: int
) -> None:
    config = replace(TEACHER, block_frames=block_frames, loop=LoopConfig(checkpoint_seconds=1e-9))
    corpus = open_examples(store.parent / "corpus")
    train_teacher(corpus, config, tmp_path / "whole", Silent())
    for cut in (4, 13, 40, 21):
        with pytest.raises(KeyboardInterrupt):
            train_teacher(corpus, config, tmp_path / "cut", PullsThePlug(cut))
    train_teacher(corpus, config, tmp_path / "cut", Silent())
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


LONG = replace(STUDENT, epochs=12, loop=LoopConfig(checkpoint_steps=1, log_steps=1, device="cpu"))


@pytest.fixture(scope="module")
def long_run(store: Path) -> Path:
    """A few seconds' run that nothing interrupts."""
    student(store, LONG, store.parent / "long")
    return store.parent / "long"


@contextmanager
def training(*arguments: str | Path) -> Iterator[Process]:
    with process(*softstore("train", *arguments), environment={"OMP_NUM_THREADS": "1"}) as running:
        yield running


def wait_for_steps(out: Path, more: int, running: Process) -> None:
    """Until the run has come so many updates further."""

    def step() -> int:
        return (out / STEPS).read_text().count("\n") if (out / STEPS).exists() else 0

    aim = step() + more
    wait_for(lambda: step() >= aim, running)


def test_a_run_killed_at_random_moments_goes_on_to_the_same_bits(
    store: Path, long_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.toml").write_text(to_toml(LONG, str(store)))
    moments = random.Random(6)
    out = tmp_path / "out"
    with training("--config", tmp_path / "long.toml", "--out", out) as running:
        wait_for_steps(out, moments.randrange(1, 90), running)
        running.send(signal.SIGKILL)
    for _ in range(2):
        with training("--resume", "--out", out) as running:
            wait_for_steps(out, moments.randrange(1, 90), running)
            time.sleep(moments.random() / 100)
            running.send(signal.SIGKILL)
    with training("--resume", "--out", out) as running:
        ended = running.end()
    assert ended.code == 0, ended
    assert (out / WEIGHTS).read_bytes() == (long_run / WEIGHTS).read_bytes()
    for name, key in ((METRICS, "train_loss"), (STEPS, "loss")):
        assert [line[key] for line in lines(out / name)] == [line[key] for line in lines(long_run / name)]


def test_signals_save_first_and_say_how_to_go_on(store: Path, long_run: Path, tmp_path: Path) -> None:
    patient = replace(LONG, loop=LoopConfig(log_steps=1, checkpoint_seconds=0, device="cpu"))
    (tmp_path / "long.toml").write_text(to_toml(patient, str(store)))
    out = tmp_path / "out"
    first = ("--config", tmp_path / "long.toml", "--out", out)
    again = ("--resume", "--out", out)
    for arguments, number, code in ((first, signal.SIGTERM, 143), (again, signal.SIGINT, 130)):
        with training(*arguments) as running:
            wait_for_steps(out, 5, running)
            running.send(number)
            ended = running.end()
        assert ended.code == code, ended
        assert f"`softstore train --resume --out {out}` goes on" in " ".join(ended.output.split())
        state = load_state(out)
        assert state is not None
        assert state.progress["steps"] == len(lines(out / STEPS))
    with training(*again) as running:
        assert running.end().code == 0
    assert (out / WEIGHTS).read_bytes() == (long_run / WEIGHTS).read_bytes()
    assert load_model(out).description["training"]["finished"]


def test_going_on_takes_no_other_configuration(long_run: Path, tmp_path: Path) -> None:
    def refused(*arguments: str | Path) -> str:
        found = CliRunner().invoke(build(), ["train", "--resume", *map(str, arguments)])
        assert isinstance(found.exception, SoftstoreError)
        return str(found.exception)

    assert "leave out epochs" in refused("--out", long_run, "--epochs", "3")
    assert "leave out config" in refused("--out", long_run, "--config", long_run / CONFIG)
    assert "no run to go on with" in refused("--out", tmp_path)


def test_a_state_of_another_version_is_refused(store: Path, tmp_path: Path) -> None:
    student(store, STUDENT, tmp_path)
    state = load_state(tmp_path)
    assert state is not None
    save_state(tmp_path, replace(state, progress=state.progress | {"format": 1}))
    with pytest.raises(FormatError, match="another version"):
        student(store, STUDENT, tmp_path)
