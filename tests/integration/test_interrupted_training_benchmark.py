"""The benchmark of what training survives runs, finds no difference, and would find one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.run_differences import Differences, differences
from tests.learnable_store import STUDENT, make_learnable_store
from trainer.checkpoint import load_model, save_model
from trainer.config import Targets
from trainer.examples import open_examples
from trainer.metrics_files import METRICS, STEPS
from trainer.student import train_student
from trainer.task import Silent
from trainer.training_state import load_state, save_state

pytestmark = pytest.mark.usefixtures("one_thread")


def test_runs_that_are_killed_end_with_the_same_student(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.interrupted_training", "--quick", "--json", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    report = json.loads(path.read_text())
    assert [target["name"] for target in report["targets"] if not target["met"]] == []
    [row] = report["rows"]
    assert row["kills"] == 2
    assert row["runs"] >= 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = make_learnable_store(tmp_path_factory.mktemp("differences"))
    out = store.parent / "student"
    train_student(open_examples(store), replace(STUDENT, targets=Targets.HARD, epochs=1), out, Silent())
    return out


def another_weight(run: Path) -> None:
    found = load_model(run)
    next(iter(found.model.parameters())).data.view(-1)[0] += 1e-6
    save_model(run, found.model, found.description["features"], found.description["training"])


def another_state(run: Path) -> None:
    state = load_state(run)
    assert state is not None
    state.tensors["random"].view(-1)[:2] += 1
    save_state(run, replace(state, progress=state.progress | {"steps": 0}))


def another_line(run: Path) -> None:
    with (run / STEPS).open("a") as file:
        file.write("{}\n")
    line = json.loads((run / METRICS).read_text())
    (run / METRICS).write_text(json.dumps(line | {"train_loss": 0.5, "seconds": 99.0}) + "\n")


def another_time(run: Path) -> None:
    line = json.loads((run / METRICS).read_text())
    (run / METRICS).write_text(json.dumps(line | {"seconds": 99.0}) + "\n")


def another_file(run: Path) -> None:
    (run / "checkpoint.safetensors.tmp").touch()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (another_weight, Differences(1, 0, 0, 0)),
        (another_state, Differences(0, 3, 0, 0)),
        (another_line, Differences(0, 0, 2, 0)),
        (another_time, Differences(0, 0, 0, 0)),
        (another_file, Differences(0, 0, 0, 1)),
    ],
)
def test_what_differs_is_counted(
    run: Path, tmp_path: Path, change: Callable[[Path], None], found: Differences
) -> None:
    shutil.copytree(run, tmp_path / "run")
    change(tmp_path / "run")
    assert differences(tmp_path / "run", run) == found
