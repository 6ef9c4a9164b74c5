"""Teacher and students on a corpus that can be learnt: they learn, go on, stop and refuse as they should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import softstore
from softstore.cli import build
from softstore.codecs import UInt8
from softstore.errors import ConflictError, InvalidInputError, SoftstoreError
from softstore.generate import generate
from softstore.storage import open_storage
from tests import learnable_store
from tests.learnable_store import make_learnable_store
from tests.service import serving
from tests.trainer_data import CLASSES, LENGTHS, make_learnable_corpus
from trainer.checkpoint import WEIGHTS, load_model
from trainer.config import StudentConfig, Targets
from trainer.evaluation import evaluate
from trainer.examples import open_examples
from trainer.loop import Run
from trainer.metrics_files import METRICS
from trainer.model_shapes import LSTMShape
from trainer.objectives import Objective
from trainer.optimizers import SGDConfig
from trainer.schedule import NewbobConfig
from trainer.student import train_student
from trainer.task import Silent
from trainer.teacher import FrameTask, load_teacher, train_teacher
from trainer.training_state import STATE

TEACHER = replace(learnable_store.TEACHER, epochs=3)
STUDENT = StudentConfig(
    model=LSTMShape(cells=24, projection=16, delay=1),
    streams=3,
    epochs=3,
    pretrain_epochs=2,
    optimizer=SGDConfig(0.1),
    schedule=NewbobConfig(stop=-1e9),
)


pytestmark = pytest.mark.usefixtures("one_thread")


class StopsBefore(Silent):
    """A display that interrupts a run when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def begin(self, epoch: int, objective: Objective, frames: int) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a corpus, a teacher trained on it and the teacher's store."""
    root = tmp_path_factory.mktemp("journey")
    make_learnable_store(root, TEACHER)
    return root


def student(journey: Path, out: Path, targets: Targets = Targets.HARD, display: Silent | None = None) -> Run:
    config = replace(STUDENT, targets=targets, temperature=2.0)
    return train_student(open_examples(journey / "store"), config, out, display or Silent())


def losses(run: Run) -> list[tuple[float, float]]:
    return [(metrics.train_loss, metrics.cv_loss) for metrics in run.history]


def test_the_teacher_learns_and_its_figures_are_those_of_its_posteriors(journey: Path) -> None:
    teacher = load_teacher(journey / "teacher")
    assert teacher is not None
    corpus = softstore.Corpus.open(journey / "corpus")
    right = [
        teacher.log_posteriors(torch.from_numpy(u.features())).argmax(-1).numpy() == u.labels()
        for u in corpus.scan(split="cv")
    ]
    accuracy = 100 * float(np.concatenate(right).mean())
    lines = [json.loads(line) for line in (journey / "teacher" / METRICS).read_text().splitlines()]
    assert accuracy > 60
    assert max(line["cv_accuracy"] for line in lines if line["accepted"]) == pytest.approx(accuracy, abs=1e-3)


@pytest.mark.parametrize("targets", list(Targets))
def test_students_learn_from_every_kind_of_target(journey: Path, tmp_path: Path, targets: Targets) -> None:
    store, config = journey / "store", replace(STUDENT, targets=targets, temperature=2.0)
    if targets is Targets.LOGITS:
        # From a store with all classes, whose errors are many times those of probabilities.
        teacher, store = load_teacher(journey / "teacher"), tmp_path / "store"
        assert teacher is not None
        storage = open_storage(store, writable=True)
        generate(softstore.Corpus.open(journey / "corpus"), teacher, storage, UInt8())
        config = replace(config, optimizer=SGDConfig(0.01))
    run = train_student(open_examples(store), config, tmp_path, Silent())
    assert run.history[-1].cv_accuracy > 3 * 100 / CLASSES
    assert run.history[-1].train_loss < run.history[0].train_loss
    assert load_model(tmp_path).description["training"]["finished"]


def test_pretraining_is_soft_then_hard_with_a_fresh_schedule(journey: Path, tmp_path: Path) -> None:
    history = student(journey, tmp_path, Targets.PRETRAIN).history
    assert [m.objective for m in history] == ["soft at T = 2"] * 2 + ["hard"] * 3
    assert history[2].learning_rate == STUDENT.optimizer.learning_rate


def test_the_same_seed_gives_the_same_student_from_disk_and_over_http(journey: Path, tmp_path: Path) -> None:
    local = student(journey, tmp_path / "local", Targets.SOFT)
    with serving({"demo": journey / "store"}) as client:
        remote = train_student(
            open_examples(f"{client.base_url}/v1/stores/demo/objects"),
            replace(STUDENT, targets=Targets.SOFT, temperature=2.0),
            tmp_path / "remote",
            Silent(),
        )
    assert losses(local) == losses(remote)
    assert (tmp_path / "local" / WEIGHTS).read_bytes() == (tmp_path / "remote" / WEIGHTS).read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_bits(journey: Path, tmp_path: Path) -> None:
    whole = student(journey, tmp_path / "whole", Targets.PRETRAIN)
    for before in (1, 2, 3, 5):  # at the start, within either stage, and where the second begins
        with pytest.raises(KeyboardInterrupt):
            student(journey, tmp_path / "cut", Targets.PRETRAIN, StopsBefore(before))
        assert (tmp_path / "cut" / STATE).exists() == (before > 1)
    rest = student(journey, tmp_path / "cut", Targets.PRETRAIN)
    assert losses(rest) == losses(whole)
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_an_interrupted_teacher_goes_on_to_the_same_bits(journey: Path, tmp_path: Path) -> None:
    corpus = open_examples(journey / "corpus")
    with pytest.raises(KeyboardInterrupt):
        train_teacher(corpus, TEACHER, tmp_path, StopsBefore(2))
    train_teacher(corpus, TEACHER, tmp_path, Silent())
    assert (tmp_path / WEIGHTS).read_bytes() == (journey / "teacher" / WEIGHTS).read_bytes()


def test_a_finished_run_is_not_trained_again(journey: Path, tmp_path: Path) -> None:
    student(journey, tmp_path)
    before = (tmp_path / STATE).stat().st_mtime_ns
    assert not student(journey, tmp_path).trained
    assert (tmp_path / STATE).stat().st_mtime_ns == before


def test_a_run_of_another_configuration_is_not_continued(journey: Path, tmp_path: Path) -> None:
    student(journey, tmp_path)
    with pytest.raises(ConflictError, match="another seed"):
        train_student(
            open_examples(journey / "store"), replace(STUDENT, temperature=2.0, seed=1), tmp_path, Silent()
        )


def test_a_worse_epoch_is_undone(journey: Path, tmp_path: Path) -> None:
    """A rate that destroys the model: all epochs are rejected, the weights stay what they were."""
    config = replace(TEACHER, epochs=2, optimizer=SGDConfig(1000.0), schedule=NewbobConfig(stop=-1e9))
    task = FrameTask(open_examples(journey / "corpus"), config)
    run = train_teacher(open_examples(journey / "corpus"), config, tmp_path, Silent())
    assert not any(metrics.accepted for metrics in run.history)
    kept = load_model(tmp_path).model
    for name, parameter in task.model.named_parameters():
        torch.testing.assert_close(kept.get_parameter(name), parameter, rtol=0, atol=0)


def test_a_lost_loss_names_the_utterances(journey: Path, tmp_path: Path) -> None:
    with pytest.raises(SoftstoreError, match=r"The loss became (nan|inf) in epoch 1, .* utterance-\d\d"):
        train_student(
            open_examples(journey / "corpus"), replace(STUDENT, optimizer=SGDConfig(1e36)), tmp_path, Silent()
        )
    assert not (tmp_path / STATE).exists()


def test_features_that_are_no_numbers_name_their_utterance(tmp_path: Path) -> None:
    culprit = list(LENGTHS)[5]

    def spoil(utterance_id: str, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return features * np.float32("nan") if utterance_id == culprit else features

    make_learnable_corpus(tmp_path / "corpus", spoil)
    with pytest.raises(SoftstoreError, match=f"{culprit} in .* not finite"):
        train_student(open_examples(tmp_path / "corpus"), STUDENT, tmp_path / "out", Silent())


def test_what_cannot_be_trained_is_refused(journey: Path, tmp_path: Path) -> None:
    corpus = open_examples(journey / "corpus")
    with pytest.raises(InvalidInputError, match="has no soft targets"):
        train_student(corpus, replace(STUDENT, targets=Targets.SOFT), tmp_path, Silent())
    with pytest.raises(InvalidInputError, match="no frames in the split 'test'"):
        corpus.num_frames("test")


def test_examples_are_the_utterances_of_the_store(journey: Path) -> None:
    store = softstore.open(journey / "store")
    for example in open_examples(journey / "store").in_order("cv", targets=True):
        stored = store[example.utterance_id]
        np.testing.assert_array_equal(example.features.numpy(), stored.features())
        np.testing.assert_array_equal(example.labels.numpy(), stored.labels())
        for name, rows in stored.encoded().items():
            np.testing.assert_array_equal(example.encoded[name], rows.numpy())


def test_a_reader_that_stops_early_leaves_no_threads(journey: Path) -> None:
    reading: Iterator[object] = open_examples(journey / "store").in_order("train")
    next(reading)
    del reading


def test_evaluation_accounts_for_the_delay_and_sums_up_its_conditions(journey: Path, tmp_path: Path) -> None:
    student(journey, tmp_path)
    model = load_model(tmp_path).model
    found = evaluate(model, open_examples(journey / "store"), "cv")
    store = softstore.open(journey / "store")
    right, cross_entropy, divergence = [], [], []
    for utterance in store.scan(split="cv"):
        log_y = model.log_posteriors(torch.from_numpy(utterance.features()))
        labels = torch.from_numpy(utterance.labels())
        right.append(log_y.argmax(-1) == labels)
        cross_entropy.append(-log_y.gather(1, labels[:, None])[:, 0])
        log_p = torch.from_numpy(utterance.log_posteriors(2.0))
        softened = torch.log_softmax(log_y / 2, dim=-1)
        divergence.append((log_p.exp() * (log_p - softened)).sum(-1))
    assert found.total.frame_accuracy == pytest.approx(100 * float(torch.cat(right).double().mean()))
    assert found.total.cross_entropy == pytest.approx(float(torch.cat(cross_entropy).mean()), rel=1e-4)
    assert found.total.kl["2"] == pytest.approx(float(torch.cat(divergence).mean()), rel=1e-3)
    assert list(found.by["condition"]) == ["2"]
    both = evaluate(model, open_examples(journey / "store"), "train")
    assert list(both.by["condition"]) == ["1", "2"]
    assert sum(scores.frames for scores in both.by["condition"].values()) == both.total.frames


def test_the_teacher_agrees_with_its_own_store(journey: Path) -> None:
    found = evaluate(load_model(journey / "teacher").model, open_examples(journey / "store"), "cv")
    assert found.total.kl["1"] < 0.02


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(argument) for argument in arguments])


def test_the_commands_from_corpus_to_figures(journey: Path, tmp_path: Path) -> None:
    small = ("--preset", "demo", "--epochs", "1")
    found = command("teacher", "train", journey / "corpus", "--out", tmp_path / "t", "--hidden", "16", *small)
    assert found.exit_code == 0
    assert "FA cv" in found.output
    training = (
        "train",
        "--store",
        journey / "store",
        "--out",
        tmp_path / "s",
        "--targets",
        "reg",
        "--cells",
        "8",
    )
    assert command(*training, *small).exit_code == 0
    assert "Nothing to do" in command(*training, *small).output
    found = command(
        "evaluate", "--model", tmp_path / "s", "--store", journey / "store", "--json", tmp_path / "e.json"
    )
    assert found.exit_code == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert set(figures["splits"]) == {"train", "cv"}
    assert set(figures["splits"]["cv"]["kl"]) == {"1", "2", "4", "8"}
