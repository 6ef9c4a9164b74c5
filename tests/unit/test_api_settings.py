"""The settings: flags before environment before file before defaults, and mistakes that are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.limits import Limits
from api.settings import ServiceSettings, load_settings
from softstore.errors import InvalidInputError, NotFoundError

FILE = """
root = "runs"
port = 1
workers = 2
host = "::1"

[stores]
demo = "runs/demo/store"

[limits]
body_bytes = 10
waiting = 20
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "service.toml"
    path.write_text(FILE)
    return path


def test_flags_go_before_the_environment_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSTORE_PORT", "3")
    monkeypatch.setenv("SOFTSTORE_WORKERS", "4")
    monkeypatch.setenv("SOFTSTORE_LIMITS__WAITING", "21")
    found = load_settings(config=file, workers=5, host=None)
    assert (found.root, found.host, found.port, found.workers) == ("runs", "::1", 3, 5)
    assert found.limits == Limits(body_bytes=10, waiting=21)
    assert found.log_format == "text"


def test_the_environment_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSTORE_CONFIG", str(file))
    assert ServiceSettings().stores == {"demo": "runs/demo/store"}


def test_stores_of_one_place_take_the_place_of_others(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(config=file).stores == {"demo": "runs/demo/store"}
    monkeypatch.setenv("SOFTSTORE_STORES", "a=b s3://c/d")
    assert load_settings(config=file).stores == {"a": "b", "d": "s3://c/d"}
    assert load_settings(config=file, stores=["x/y"]).stores == {"y": "x/y"}


def test_lists_in_the_environment_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSTORE_CORS_ORIGINS", "https://lab.example http://localhost:3000")
    assert load_settings().cors_origins == ["https://lab.example", "http://localhost:3000"]


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSTORE_TOKENS", "")
    assert load_settings().tokens is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tokns = 'x'", "there is no tokns"),
        ("[limits]\nbody_byte = 3", "there is no limits.body_byte"),
        ("port = 70000", "port: Input should be less than or equal to 65535, not 70000"),
        ("a = 1\nport = 'x'\nb = 2", "there is no a; there is no b"),
        ("port = ", r"service.toml are no TOML: Invalid value"),
        ("log_format = 'xml'", "log_format: Input should be 'text' or 'json', not 'xml'"),
        ("[limits]\ndecoding = 0", "limits.decoding: .* greater than or equal to 1"),
    ],
)
def test_mistakes_in_the_file_are_named(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=told):
        load_settings(config=file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no file of settings .*nowhere"):
        load_settings(config=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "flags", [{"tokens": "t", "no_auth": True}, {"tls_key": "k"}, {"stores": ["a/x", "b/x"]}]
)
def test_settings_that_contradict_each_other(flags: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        load_settings(**flags)
