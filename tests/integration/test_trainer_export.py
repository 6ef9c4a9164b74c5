"""`softstore export`: a student as a program, and what it says of a store's utterances in a Kaldi archive."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from softstore.errors import InvalidInputError, NotFoundError, SoftstoreError, StorageError
from softstore.teacher import Stored, load_teacher
from tests.trainer_data import CLASSES, DIMENSIONS, LENGTHS, make_learnable_corpus
from trainer.checkpoint import load_model, save_model
from trainer.commands.export import export
from trainer.examples import open_examples
from trainer.models import LSTMPConfig

native = pytest.importorskip("kaldi_native_io")

CV = [name for number, name in enumerate(LENGTHS) if number % 4 == 3]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and a student that fits it."""
    root = tmp_path_factory.mktemp("export")
    make_learnable_corpus(root / "corpus")
    torch.manual_seed(0)
    model = LSTMPConfig(DIMENSIONS, CLASSES, layers=1, cells=8, projection=4, delay=2).build()
    model.set_prior(torch.arange(CLASSES))
    save_model(root / "student", model, {"kind": "gaussian"}, {})
    return root


def exported(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_splits_log_likelihoods_are_read_back_by_kaldi(root: Path, tmp_path: Path) -> None:
    archive, script = tmp_path / "new" / "loglikes.ark", tmp_path / "new" / "loglikes.scp"
    found = exported(root / "student", "--kaldi-ark", root / "corpus", "--split", "cv", "--out", archive)
    assert found.exit_code == 0, found.output
    model = load_model(root / "student").model
    examples = {example.utterance_id: example for example in open_examples(root / "corpus").in_order("cv")}
    for source in (f"ark:{archive}", f"scp:{script}"):
        with native.SequentialFloatMatrixReader(source) as reader:
            matrices = {name: torch.from_numpy(matrix.copy()) for name, matrix in reader}
        assert list(matrices) == list(examples)
        assert sorted(matrices) == CV
        for name, matrix in matrices.items():
            expected = model.log_posteriors(examples[name].features) - model.log_prior
            torch.testing.assert_close(matrix, expected, atol=1e-5, rtol=1e-5)
    assert sorted(path.name for path in archive.parent.iterdir()) == ["loglikes.ark", "loglikes.scp"]
    # Normalised again, they are log-posteriors for `softstore generate --teacher`.
    teacher = load_teacher(f"scp:{script}")
    assert isinstance(teacher, Stored)
    assert teacher.class_count == CLASSES


def test_a_student_becomes_a_program(root: Path, tmp_path: Path) -> None:
    found = exported(root / "student", "--format", "torch-export", "--out", tmp_path / "student.pt2")
    assert found.exit_code == 0, found.output
    assert "student.pt2" in found.output
    features = torch.randn(12, DIMENSIONS)
    program = torch.export.load(tmp_path / "student.pt2").module()
    expected = load_model(root / "student").model.log_posteriors(features)
    torch.testing.assert_close(program(features), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["student", "--out", "x"], InvalidInputError, "one of two"),
        (
            ["student", "--format", "onnx", "--kaldi-ark", "corpus", "--out", "x"],
            InvalidInputError,
            "one of two",
        ),
        (["nowhere", "--format", "onnx", "--out", "x"], NotFoundError, "There is no model in"),
        (["student", "--kaldi-ark", "nowhere", "--out", "x.ark"], NotFoundError, "nowhere"),
        (
            ["student", "--kaldi-ark", "corpus", "--split", "test", "--out", "x.ark"],
            InvalidInputError,
            "'test'",
        ),
        (["student", "--kaldi-ark", "corpus", "--out", "x.txt"], InvalidInputError, "ends in .ark"),
        (["student", "--kaldi-ark", "corpus", "--out", "student/model.json/x.ark"], StorageError, "written"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[SoftstoreError],
    sentence: str,
) -> None:
    monkeypatch.chdir(root)
    before = sorted(root.rglob("*"))
    found = exported(*arguments)
    assert isinstance(found.exception, error)
    assert sentence in str(found.exception)
    assert sorted(root.rglob("*")) == before


def test_a_model_for_other_frames_is_refused(root: Path, tmp_path: Path) -> None:
    other = LSTMPConfig(DIMENSIONS + 1, CLASSES, layers=1, cells=8, projection=4).build()
    save_model(tmp_path / "other", other, {}, {})
    found = exported(tmp_path / "other", "--kaldi-ark", root / "corpus", "--out", tmp_path / "x.ark")
    assert isinstance(found.exception, InvalidInputError)
    assert not (tmp_path / "x.ark").exists()
