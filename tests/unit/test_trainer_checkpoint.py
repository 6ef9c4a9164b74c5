"""Models on disk: read back as they were, and never half of two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from softstore.errors import CorruptDataError, FormatError, NotFoundError
from trainer.checkpoint import DESCRIPTION, WEIGHTS, load_model, save_model
from trainer.models import DNN, LSTMP, AcousticModel, BLSTMConfig, DNNConfig, LSTMConfig, LSTMPConfig
from trainer.teacher import load_teacher
from trainer.training_state import TrainingState, load_state, save_state


def make_dnn(seed: int = 0) -> DNN:
    torch.manual_seed(seed)
    model = DNNConfig(4, 9, context=1, transform_dim=6, layers=1, hidden=5).build()
    torch.nn.init.normal_(model.output.weight)
    torch.nn.init.normal_(model.transform)
    return model


def make_lstmp() -> LSTMP:
    torch.manual_seed(0)
    return LSTMPConfig(4, 9, layers=1, cells=5, projection=3).build()


@pytest.mark.parametrize(
    "model",
    [
        make_dnn(),
        make_lstmp(),
        LSTMConfig(4, 9, layers=1, cells=5, projection=3).build(),
        BLSTMConfig(4, 9, layers=1, cells=5).build(),
    ],
    ids=["dnn", "lstmp", "lstm", "blstm"],
)
def test_a_model_comes_back_as_it_was(tmp_path: Path, model: AcousticModel) -> None:
    model.set_prior(torch.arange(9))
    fingerprint = save_model(tmp_path, model, {"kind": "fbank"}, {"epochs": 3})
    found = load_model(tmp_path)
    features = torch.randn(7, 4)
    torch.testing.assert_close(
        found.model.log_posteriors(features), model.log_posteriors(features), rtol=0, atol=0
    )
    torch.testing.assert_close(found.model.log_prior.exp().sum(), torch.tensor(1.0))
    assert found.fingerprint == fingerprint
    assert found.model.config == model.config
    assert found.description["features"] == {"kind": "fbank"}
    assert found.description["training"] == {"epochs": 3}


def test_the_fingerprint_follows_weights_and_features_but_not_the_training_notes(tmp_path: Path) -> None:
    first = save_model(tmp_path / "a", make_dnn(), {"kind": "fbank"}, {"seconds": 1})
    assert save_model(tmp_path / "b", make_dnn(), {"kind": "fbank"}, {"seconds": 2}) == first
    assert save_model(tmp_path / "c", make_dnn(), {"kind": "mfcc"}, {}) != first
    assert save_model(tmp_path / "d", make_dnn(seed=1), {"kind": "fbank"}, {}) != first


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "a", make_dnn(), {}, {})
    save_model(tmp_path / "b", make_dnn(seed=1), {}, {})
    (tmp_path / "b" / WEIGHTS).replace(tmp_path / "a" / WEIGHTS)
    with pytest.raises(CorruptDataError, match="do not belong together"):
        load_model(tmp_path / "a")


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    save_model(tmp_path, make_dnn(), {}, {})
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptDataError, match="damaged"):
        load_model(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, make_dnn(), {}, {})
    description = json.loads((tmp_path / DESCRIPTION).read_text())
    (tmp_path / DESCRIPTION).write_text(json.dumps(description | {"format": 2}))
    with pytest.raises(FormatError, match="Install a newer softstore"):
        load_model(tmp_path)


def test_no_model_is_no_teacher(tmp_path: Path) -> None:
    assert load_teacher(tmp_path) is None
    with pytest.raises(NotFoundError):
        load_model(tmp_path)


def test_any_model_is_a_teacher(tmp_path: Path) -> None:
    fingerprint = save_model(tmp_path, make_lstmp(), {}, {})
    teacher = load_teacher(tmp_path)
    assert teacher is not None
    posteriors = teacher.log_posteriors(torch.randn(6, 4))
    assert (teacher.class_count, teacher.fingerprint) == (9, fingerprint)
    assert posteriors.shape == (6, 9)
    assert posteriors.dtype == torch.float32
    torch.testing.assert_close(posteriors.exp().sum(-1), torch.ones(6))
    assert json.loads(json.dumps(teacher.description)) == teacher.description


def test_the_training_state_comes_back_or_is_refused(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    save_state(tmp_path, TrainingState({"model.x": torch.arange(3.0)}, {"stage": 1}))
    found = load_state(tmp_path)
    assert found is not None
    assert found.progress == {"stage": 1}
    assert found.tensors["model.x"].tolist() == [0, 1, 2]
    (tmp_path / "checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(CorruptDataError, match="remove it"):
        load_state(tmp_path)
