"""A student of several stores: it sees what one store of all would show it, and goes on alike."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from api.settings import ServiceSettings
from api.tokens import add_token
from softstore.cli import build, main
from softstore.codecs import Codec, TopK
from softstore.errors import ConflictError, InvalidInputError
from softstore.generate import generate
from softstore.storage import open_storage
from tests.learnable_store import CODECS, STUDENT, PullsThePlug, make_learnable_store
from tests.service import serving
from tests.trainer_data import CHUNK_FRAMES, LENGTHS, SHARD_FRAMES, make_learnable_corpus
from trainer.checkpoint import WEIGHTS, load_model
from trainer.config import LoopConfig, StudentConfig, Targets
from trainer.config_file import CONFIG, SOURCE, to_toml
from trainer.evaluation import evaluate
from trainer.examples import Examples, open_examples
from trainer.loop import Run
from trainer.metrics_files import METRICS
from trainer.model_shapes import DNNShape, LSTMShape
from trainer.objectives import Kind, Objective, Outcome
from trainer.ranks import Ranks
from trainer.stream_task import StreamTask
from trainer.student import train_student
from trainer.task import Silent, Task
from trainer.teacher import load_teacher
from trainer.utterance_task import UtteranceTask

pytestmark = pytest.mark.usefixtures("one_thread")

OBJECTIVE = Objective(Kind.REG, temperature=2.0)
DNN = DNNShape(layers=1, hidden=16, context=1)
HALVES = {"first": list(LENGTHS)[:12], "second": list(LENGTHS)[12:]}
BOTH = tuple(HALVES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``store`` has everything, ``first`` and ``second`` a half each, ``other`` the second in another codec;
    ``second-corpus`` is what the second was made from."""
    root = tmp_path_factory.mktemp("several")
    make_learnable_store(root)
    teacher = load_teacher(root / "teacher")
    assert teacher is not None

    def make(name: str, half: str, codec: Codec) -> None:
        corpus = make_learnable_corpus(root / f"{name}-corpus", utterances=HALVES[half])
        storage = open_storage(root / name, writable=True)
        generate(corpus, teacher, storage, codec, shard_frames=SHARD_FRAMES, chunk_frames=CHUNK_FRAMES)

    for half in HALVES:
        make(half, half, CODECS["store"])
    make("other", "second", TopK(k=5))
    return root


def opened(root: Path, names: Iterable[str]) -> list[Examples]:
    return [open_examples(root / name) for name in names]


def sums(outcomes: Iterable[Outcome]) -> list[float]:
    """Loss, frames and frames that are right."""
    taken = [(float(outcome.loss.detach()), outcome.frames, outcome.correct) for outcome in outcomes]
    return [sum(column) for column in zip(*taken, strict=True)]


def lstm(sources: Sequence[Examples]) -> Task:
    assert isinstance(STUDENT.model, LSTMShape)
    return StreamTask(sources, STUDENT, STUDENT.model, Ranks())


def dnn(sources: Sequence[Examples]) -> Task:
    return UtteranceTask(sources, replace(STUDENT, batch_frames=700), DNN, Ranks())


@pytest.mark.parametrize("make", [lstm, dnn])
def test_two_halves_are_as_good_as_the_whole(root: Path, make: Callable[[Sequence[Examples]], Task]) -> None:
    whole, halves = make(opened(root, ["store"])), make(opened(root, BOTH))
    for task in (whole, halves):
        task.prepare()
        # Its last layer starts at zero, where nothing could be told apart.
        torch.nn.init.normal_(task.model.output.weight, generator=torch.manual_seed(1))
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(halves.model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    cv = sums(whole.validate(OBJECTIVE))
    assert sums(halves.validate(OBJECTIVE)) == pytest.approx(cv, rel=1e-4)
    assert cv[1] == sum(frames for number, frames in enumerate(LENGTHS.values()) if number % 4 == 3)
    loss, frames, correct = sums(whole.train(OBJECTIVE, epoch=1))
    assert sums(halves.train(OBJECTIVE, epoch=1)) == [pytest.approx(loss, rel=1e-4), frames, correct]
    assert frames == halves.train_frames == sum(LENGTHS.values()) - cv[1]


def command(*arguments: str | Path) -> str:
    found = CliRunner().invoke(build(), list(map(str, arguments)), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_the_command_takes_several_and_keeps_what_it_took(root: Path, tmp_path: Path) -> None:
    stores = [str(root / name) for name in BOTH]
    (tmp_path / "student.toml").write_text(to_toml(STUDENT, "nowhere"))
    told = ("--config", tmp_path / "student.toml", "--store", stores[0], "--store", stores[1])
    command("train", *told, "--out", tmp_path / "out")
    assert tomllib.loads((tmp_path / "out" / CONFIG).read_text())[SOURCE] == stores
    # The figures are those of the store with all frames in it.
    found = evaluate(load_model(tmp_path / "out").model, open_examples(root / "store"), "cv").total
    epochs = [json.loads(line) for line in (tmp_path / "out" / METRICS).read_text().splitlines()]
    best = [line for line in epochs if line["accepted"]][-1]
    assert best["objective"] == "hard"
    assert best["cv_loss"] == pytest.approx(found.cross_entropy, rel=1e-4)
    assert best["cv_accuracy"] == pytest.approx(found.frame_accuracy)
    # What was kept trains the same student.
    command("train", "--config", tmp_path / "out" / CONFIG, "--out", tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (tmp_path / "out" / WEIGHTS).read_bytes()
    assert "Nothing to do" in command("train", "--resume", "--out", tmp_path / "out")


def student(
    examples: Examples | Sequence[Examples],
    out: Path,
    display: Silent | None = None,
    config: StudentConfig = STUDENT,
) -> Run:
    return train_student(examples, config, out, display or Silent())


def test_a_run_cut_anywhere_goes_on_to_the_same_bits_also_where_stores_have_moved(
    root: Path, tmp_path: Path
) -> None:
    student(opened(root, BOTH), tmp_path / "whole")
    saving = replace(STUDENT, loop=LoopConfig(checkpoint_steps=3))
    for cut in (2, 5, 30):
        with pytest.raises(KeyboardInterrupt):
            student(opened(root, BOTH), tmp_path / "cut", PullsThePlug(cut), saving)
    token = add_token(tmp_path / "tokens.json", "trainer", ["*"])
    settings = ServiceSettings(tokens=tmp_path / "tokens.json")
    with serving({name: root / name for name in BOTH}, settings) as client:
        moved = [f"{client.base_url}/v1/stores/{name}/objects" for name in BOTH]
        told = ("--store", moved[0], "--store", moved[1], "--token", token)
        command("train", "--resume", "--out", tmp_path / "cut", *told)
    assert tomllib.loads((tmp_path / "cut" / CONFIG).read_text())[SOURCE] == moved
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert (tmp_path / "cut" / METRICS).read_text().count("\n") == 4


def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command says when it ends with exit code 2."""
    monkeypatch.setattr("sys.argv", ["softstore", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    return said


def test_a_run_does_not_go_on_with_other_stores(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(STUDENT, targets=Targets.HARD, epochs=1)
    student(opened(root, BOTH), tmp_path, config=config)
    kept = (tmp_path / CONFIG).read_bytes()
    for names, sentence in (
        (["first"], r"other data \(stores: 2 then, 1 now\): name what it began with"),
        (["first", "second", "first"], r"\(stores: 2 then, 3 now\)"),
        (["second", "first"], r"\(store 1 had another frames.train, .*; store 2 had another frames.train"),
        (["first", "store"], r"\(store 2 had another frames.train, frames.cv\)"),
        (["first", "second-corpus"], r"\(store 2 had another teacher, codec\)"),
        (["first", "other"], r"\(store 2 had another codec.k\)"),
    ):
        with pytest.raises(ConflictError, match=sentence):
            student(opened(root, names), tmp_path, config=config)
    monkeypatch.chdir(root)
    said = fails(
        monkeypatch, capsys, "train", "--resume", "--out", tmp_path, "--store", "second", "--store", "first"
    )
    assert "holds a run on other data (store 1 had another" in said
    assert (tmp_path / CONFIG).read_bytes() == kept


def test_stores_that_do_not_go_together_are_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = ("--store", root / "first", "--store", root / "other")
    told = ("--targets", "soft", "--preset", "demo", "--out", tmp_path)
    assert "are encoded differently" in fails(monkeypatch, capsys, "train", *stores, *told)
    with pytest.raises(InvalidInputError, match="second-corpus is a corpus and has no soft targets"):
        student(opened(root, ["first", "second-corpus"]), tmp_path)
    for changed, sentence in (
        ({"features": {"kind": "mfcc"}}, "have features of another kind"),
        ({"class_names": ["a", "b"]}, "name their classes differently"),
    ):
        first, second = opened(root, BOTH)
        first.frames.attributes = first.attributes.model_copy(update={"class_names": ["a", "c"]})
        second.frames.attributes = second.attributes.model_copy(update=changed)
        with pytest.raises(InvalidInputError, match=sentence):
            student([first, second], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [("first", "other"), ("second-corpus", "first")])
def test_labels_are_learnt_from_stores_of_any_codec_and_corpora(
    root: Path, tmp_path: Path, names: Sequence[str]
) -> None:
    config = replace(STUDENT, targets=Targets.HARD, epochs=1)
    mixed = student(opened(root, names), tmp_path / "mixed", config=config)
    halves = [{"other": "second", "second-corpus": "second"}.get(name, name) for name in names]
    alike = student(opened(root, halves), tmp_path / "alike", config=config)
    assert mixed.best.cv_loss == alike.best.cv_loss


def test_a_teacher_takes_one_corpus(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "teacher.toml"
    config.write_text('store = ["a", "b"]')
    said = fails(monkeypatch, capsys, "teacher", "train", "--config", config, "--out", tmp_path / "out")
    assert "learns from one corpus, and 2 are named" in said
