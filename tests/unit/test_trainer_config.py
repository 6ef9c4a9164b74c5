"""Configurations as TOML: what is said holds, what is not said stays, what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softstore.errors import InvalidInputError, NotFoundError, SoftstoreError
from trainer.commands.training import configured
from trainer.config import STUDENTS, TEACHERS, Preset, StudentConfig, Targets, TeacherConfig
from trainer.config_file import to_toml
from trainer.model_shapes import DNNShape, LSTMShape
from trainer.optimizers import AdamWConfig
from trainer.schedule import CosineConfig

PAPER = STUDENTS[Preset.PAPER]


def read(tmp_path: Path, text: str, **options: Any) -> StudentConfig:
    (tmp_path / "student.toml").write_text(text)
    return configured(PAPER, tmp_path / "student.toml", ["store"], options)[0]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    student = STUDENTS[Preset.DEMO]
    for stores in (["s3://bucket/store"], ["runs/a/store", "https://host/v1/stores/b"]):
        file.write_text(to_toml(student, *stores))
        assert configured(StudentConfig(), file, [], {}) == (student, stores)
    teacher = TEACHERS[Preset.DEMO]
    file.write_text(to_toml(teacher, "corpus"))
    assert configured(TeacherConfig(), file, [], {}) == (teacher, ["corpus"])


def test_stores_that_are_given_take_the_place_of_all_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "student.toml").write_text('store = "one"')
    assert configured(PAPER, tmp_path / "student.toml", [], {})[1] == ["one"]
    (tmp_path / "student.toml").write_text('store = ["one", "two"]')
    assert configured(PAPER, tmp_path / "student.toml", ["three"], {})[1] == ["three"]


def test_options_change_what_a_file_changes_of_a_preset(tmp_path: Path) -> None:
    text = 'targets = "reg"\ntemperature = 4\n[model]\ncells = 64\n[optimizer]\nlearning_rate = 0.5'
    config = read(tmp_path, text, temperature=1.0, model={"cells": None, "projection": 32}, seed=None)
    assert (config.targets, config.temperature, config.seed) == (Targets.REG, 1.0, 0)
    assert config.model == LSTMShape(cells=64, projection=32)
    assert config.optimizer.learning_rate == 0.5
    assert (config.epochs, config.schedule) == (PAPER.epochs, PAPER.schedule)


def test_another_kind_begins_with_its_own_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, '[model]\nkind = "dnn"\nhidden = 64\n[optimizer]\nkind = "adamw"')
    assert config.model == DNNShape(hidden=64)
    assert (config.optimizer, config.schedule) == (AdamWConfig(), CosineConfig())
    kept = read(tmp_path, '[optimizer]\nkind = "adamw"\n[schedule]\nkind = "newbob"')
    assert kept.schedule == PAPER.schedule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targts = 1", "student.toml: there is no targts; there are store, targets, "),
        ("[model]\ncels = 3", "student.toml: there is no model.cels."),
        ('[model]\ncells = "many"', "student.toml: model.cells = 'many': input should be a valid integer."),
        ('[model]\nkind = "dnn"\ncells = 3', "student.toml: there is no model.cells."),
        ('[model]\nkind = "gru"', "student.toml: model = .*'gru'.* 'lstmp'"),
        ("model = 3", "student.toml: model = 3: input should be an object."),
        ("epochs = 1.5", "student.toml: epochs = 1.5: input should be a valid integer."),
        ("temperature = true", "student.toml: temperature = True: input should be a valid number."),
        ('targets = "sft"', "student.toml: targets = 'sft': input should be 'hard', 'soft'"),
        ("[optimizer]\nlearning_rate = inf", "student.toml: The learning rate must be above 0, not inf."),
        ('[optimizer]\nkind = "adamw"\nmomentum = 0.5', "student.toml: there is no optimizer.momentum."),
        (
            "[schedule]\nstop = 1979-05-27",
            "student.toml: schedule.stop = '1979-05-27': input should be a valid",
        ),
        ("store = 7", "student.toml: store = 7: input should be a path or URL, or a list of them."),
        ('store = ["a", 7]', r"student.toml: store = \['a', 7\]: input should be a path or URL, or a list"),
        ("[model", "student.toml cannot be read as TOML: "),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read(tmp_path, text)


def test_the_example_of_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    config = read(tmp_path, text.partition("```toml\n")[2].partition("```")[0])
    assert (config.streams, config.model, config.schedule) == (32, PAPER.model, PAPER.schedule)


def test_something_must_be_there_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(SoftstoreError, match="name a store or corpus"):
        configured(PAPER, None, [], {})
    with pytest.raises(NotFoundError, match=r"no configuration .*missing\.toml"):
        configured(PAPER, tmp_path / "missing.toml", ["store"], {})
    with pytest.raises(InvalidInputError, match="the options: epochs must be at least 1, not 0"):
        configured(PAPER, None, ["store"], {"epochs": 0})
