"""What a run leaves for whoever watches it: lines of JSON, event files, a configuration; and bfloat16."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]

from tests.learnable_store import STUDENT, PullsThePlug, make_learnable_store
from trainer.commands.training import configured
from trainer.config import LoopConfig, StudentConfig, Targets
from trainer.config_file import CONFIG
from trainer.examples import open_examples
from trainer.metrics_files import EVENTS, METRICS, STEPS
from trainer.student import train_student
from trainer.task import Silent

WATCHED = replace(STUDENT, loop=LoopConfig(log_steps=10, tensorboard=True, checkpoint_steps=7))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_learnable_store(tmp_path_factory.mktemp("watching"))


def events(directory: Path) -> list[Event]:
    """Of all files, in order: each a length, its checksum, the event and its checksum."""
    found = []
    for file in sorted(directory.iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def scalars(directory: Path, name: str) -> list[tuple[int, float]]:
    return [
        (event.step, value.simple_value)
        for event in events(directory)
        for value in event.summary.value
        if value.tag == name
    ]


def test_lines_and_event_files_say_the_same_also_after_an_interruption(store: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_student(open_examples(store), WATCHED, tmp_path, PullsThePlug(41))
    run = train_student(open_examples(store), WATCHED, tmp_path, Silent())
    steps = [json.loads(line) for line in (tmp_path / STEPS).read_text().splitlines()]
    epochs = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert [line["step"] for line in steps] == [10 * (n + 1) for n in range(len(steps))]
    assert {line["objective"] for line in steps} == {"soft at T = 2", "hard"}
    assert all(0 <= line["data_wait"] <= 1 for line in [*steps, *epochs])
    assert len(epochs) == len(run.history) == 4
    # The state was saved at 35: what was written at 40 is forgotten, and written again.
    restarts = [event.step for event in events(tmp_path / EVENTS) if event.session_log.status == 1]
    assert restarts == [1, 36]
    told = dict(scalars(tmp_path / EVENTS, "loss/train"))
    assert told == {line["step"]: pytest.approx(line["loss"], rel=1e-6) for line in steps}
    assert [value for _, value in scalars(tmp_path / EVENTS, "accuracy/cv")] == pytest.approx(
        [line["cv_accuracy"] for line in epochs]
    )


def test_what_was_used_lies_beside_the_model(store: Path, tmp_path: Path) -> None:
    train_student(open_examples(store), WATCHED, tmp_path, Silent())
    assert configured(StudentConfig(), tmp_path / CONFIG, [], {}) == (WATCHED, [str(store)])


def test_a_student_learns_as_well_in_bfloat16(store: Path, tmp_path: Path) -> None:
    config = replace(STUDENT, targets=Targets.SOFT, epochs=3)
    exact = train_student(open_examples(store), config, tmp_path / "exact", Silent())
    coarse = train_student(open_examples(store), replace(config, amp=True), tmp_path / "coarse", Silent())
    assert coarse.history[-1].cv_loss != exact.history[-1].cv_loss
    assert coarse.history[-1].cv_loss == pytest.approx(exact.history[-1].cv_loss, rel=0.02)
