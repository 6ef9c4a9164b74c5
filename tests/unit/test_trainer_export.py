"""Models as programs: whatever runs them says what the model says, of utterances of any length."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from softstore.errors import MissingDependencyError, StorageError
from softstore.teachers.exported import exported_teacher
from trainer.checkpoint import Checkpoint, load_model, save_model
from trainer.export import Format, export_model
from trainer.models import BLSTMConfig, DNNConfig, LSTMConfig, LSTMPConfig, ModelConfig

onnxruntime = pytest.importorskip("onnxruntime")

DIMENSIONS, CLASSES = 5, 11
LENGTHS = (1, 2, 7, 60)

CONFIGS: list[ModelConfig] = [
    DNNConfig(DIMENSIONS, CLASSES, context=2, transform_dim=8, layers=2, hidden=6),
    DNNConfig(DIMENSIONS, CLASSES, context=0, transform_dim=4, layers=1, hidden=6, activation="sigmoid"),
    LSTMPConfig(DIMENSIONS, CLASSES, cells=8, projection=5),
    LSTMConfig(DIMENSIONS, CLASSES, cells=8, projection=5, delay=0),
    BLSTMConfig(DIMENSIONS, CLASSES, layers=2, cells=6),
]

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")


def made(config: ModelConfig, directory: Path) -> Checkpoint:
    """A model with nothing left at its start, written and read."""
    torch.manual_seed(0)
    model = config.build()
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1)
    for buffer in model.buffers():
        buffer.uniform_(-1, 1)
    model.set_prior(torch.arange(CLASSES))
    save_model(directory, model, {"kind": "fbank"}, {})
    return load_model(directory)


@pytest.fixture(scope="module")
def lstmp(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return made(CONFIGS[2], tmp_path_factory.mktemp("lstmp"))


def torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    program: Callable[[Tensor], Tensor] = torch.jit.load(path)  # type: ignore[no-untyped-call]
    return program


def torch_export(path: Path) -> Callable[[Tensor], Tensor]:
    program: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return program


def onnx(path: Path) -> Callable[[Tensor], Tensor]:
    session = onnxruntime.InferenceSession(path)
    return lambda features: torch.from_numpy(session.run(None, {"features": features.numpy()})[0])


RUN = {Format.TORCHSCRIPT: torchscript, Format.TORCH_EXPORT: torch_export, Format.ONNX: onnx}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_a_program_says_what_the_model_says(tmp_path: Path, config: ModelConfig, form: Format) -> None:
    checkpoint = made(config, tmp_path)
    export_model(checkpoint, tmp_path / "program.pt2", form)
    run = RUN[form](tmp_path / "program.pt2")
    for frames in LENGTHS:
        features = torch.randn(frames, DIMENSIONS)
        expected = checkpoint.model.log_posteriors(features)
        torch.testing.assert_close(run(features), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("form", Format)
def test_log_likelihoods_are_posteriors_less_the_prior(
    tmp_path: Path, lstmp: Checkpoint, form: Format
) -> None:
    export_model(lstmp, tmp_path / "program.pt2", form, log_likelihoods=True)
    features = torch.randn(9, DIMENSIONS)
    expected = lstmp.model.log_posteriors(features) - lstmp.model.log_prior
    torch.testing.assert_close(RUN[form](tmp_path / "program.pt2")(features), expected, atol=2e-5, rtol=2e-5)


def test_a_program_says_where_it_comes_from(tmp_path: Path, lstmp: Checkpoint) -> None:
    notes = []
    for form in (Format.TORCHSCRIPT, Format.TORCH_EXPORT):
        export_model(lstmp, tmp_path / "program", form)
        with zipfile.ZipFile(tmp_path / "program") as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("softstore.json"))
            notes.append(json.loads(archive.read(name)))
    export_model(lstmp, tmp_path / "program", Format.ONNX, log_likelihoods=True)
    session = onnxruntime.InferenceSession(tmp_path / "program")
    metadata = session.get_modelmeta().custom_metadata_map
    assert {note["fingerprint"] for note in notes} == {lstmp.fingerprint} == {metadata["fingerprint"]}
    assert json.loads(metadata["features"]) == notes[0]["features"] == {"kind": "fbank"}
    assert [(value.name, value.shape) for value in session.get_inputs()] == [
        ("features", ["frames", DIMENSIONS])
    ]
    assert [value.name for value in session.get_outputs()] == ["log_likelihoods"]


@pytest.mark.parametrize("form", [Format.TORCH_EXPORT, Format.ONNX])
def test_a_program_names_no_place_of_this_machine(tmp_path: Path, lstmp: Checkpoint, form: Format) -> None:
    export_model(lstmp, tmp_path / "program", form)
    data = (tmp_path / "program").read_bytes()
    if form is Format.TORCH_EXPORT:
        with zipfile.ZipFile(tmp_path / "program") as archive:
            data = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(__file__).parents[2]).encode() not in data
    assert b"site-packages" not in data


def test_the_model_is_left_as_it_was(tmp_path: Path, lstmp: Checkpoint) -> None:
    export_model(lstmp, tmp_path / "program", Format.TORCHSCRIPT)
    assert all(parameter.requires_grad for parameter in lstmp.model.parameters())


def test_an_exported_dnn_is_a_teacher(tmp_path: Path) -> None:
    checkpoint = made(CONFIGS[0], tmp_path)
    export_model(checkpoint, tmp_path / "dnn.pt2", Format.TORCH_EXPORT)
    teacher = exported_teacher(tmp_path / "dnn.pt2")
    features = torch.randn(9, DIMENSIONS)
    expected = checkpoint.model.log_posteriors(features)
    torch.testing.assert_close(teacher.log_posteriors(features), expected)


def test_what_cannot_be_written_is_one_sentence(
    tmp_path: Path, lstmp: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        export_model(lstmp, tmp_path / "file" / "program", Format.TORCHSCRIPT)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"softstore\[export\]"):
        export_model(lstmp, tmp_path / "program", Format.ONNX)
    assert not (tmp_path / "program").exists()
