"""The `softstore` command as a person uses it: help that helps, and one sentence where something is wrong."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from softstore import Corpus, Store
from softstore.cli import build
from softstore.errors import MissingDependencyError, SoftstoreError
from tests.samples import make_corpus, make_store

COMMANDS = [
    *("corpus", "teacher", "plan", "generate", "info", "show", "verify", "compact", "copy", "recode"),
    *("serve", "token", "train", "evaluate", "export", "demo"),
]


def softstore(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(argument) for argument in arguments])


def test_help_lists_every_command_in_the_order_of_the_journey() -> None:
    found = softstore("--help").output
    positions = [found.index(f"│ {command} ") for command in COMMANDS]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "command",
    [
        *(command for command in COMMANDS[2:] if command != "token"),
        *("corpus make", "corpus info", "teacher train", "token add"),
    ],
)
def test_help_of_every_command_shows_an_example(command: str) -> None:
    found = softstore(*command.split(), "--help")
    assert found.exit_code == 0
    assert f"softstore {command}" in found.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("info", "nowhere"), "There is no directory nowhere."),
        (("info", "."), "is not a softstore store or corpus"),
        (("show", "nowhere", "a"), "There is no directory nowhere."),
        (("verify", "nowhere"), "There is no directory nowhere."),
        (("verify", "."), "is not a softstore store or corpus"),
        (("copy", "nowhere", "elsewhere"), "There is no directory nowhere."),
        (("copy", ".", "https://elsewhere/store"), "cannot be written"),
        (("recode", "nowhere", "elsewhere"), "There is no directory nowhere."),
        (("recode", ".", "elsewhere"), "is not a softstore store or corpus"),
        (("plan", "nowhere", "--teacher", "."), "There is no directory nowhere."),
        (("generate", "nowhere", "--teacher", ".", "--store", "s"), "There is no directory nowhere."),
        (("train", "--store", "nowhere", "--out", "o"), "There is no directory nowhere."),
        (("evaluate", "--model", "nowhere", "--store", "nowhere"), "nowhere"),
        (("corpus", "make", "an4", "--out", "c"), "name it with --data"),
        (("corpus", "make", "an4", "--data", "nowhere", "--out", "c"), "nowhere"),
        (("teacher", "train", "nowhere", "--out", "o"), "There is no directory nowhere."),
        (("serve", "nowhere"), "There is no directory nowhere."),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["softstore", *arguments])
    from softstore.cli import main

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert said.startswith("Error: ")
    assert sentence in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate",),
        ("show", "s"),
        ("no-such-command",),
        ("corpus", "make", "martian", "--out", "x"),
        ("info", "a", "b"),
    ],
)
def test_bad_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert softstore(*arguments).exit_code == 2


def test_a_command_whose_extra_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("train", "no_such_package.cli:train", "softstore.commands")
    monkeypatch.setattr("softstore.cli.entry_points", lambda group: [point])
    found = softstore("train", "--store", "s", "--out", "o")
    assert isinstance(found.exception, MissingDependencyError)
    assert "`softstore train` needs no_such_package" in str(found.exception)
    assert "Not installed" in softstore("--help").output


def test_info_as_json_has_sizes_and_certificate(store: Store) -> None:
    found = json.loads(softstore("info", store.url, "--json").output)
    assert found["utterances"] == len(store)
    assert found["certificate"]["kl"][1]["temperature"] == 2.0
    on_disk = sum(path.stat().st_size for path in Path(store.url).glob("*/**/c/**/*") if path.is_file())
    assert sum(found["track_bytes"].values()) == on_disk


def test_info_of_a_corpus(corpus: Corpus) -> None:
    found = softstore("info", corpus.url)
    assert found.exit_code == 0
    assert "120 classes" in found.output


def test_show_draws_one_utterance(store: Store) -> None:
    found = softstore("show", store.url, "a", "--temperature", "2", "--stop", "50", "--top-k", "3")
    assert found.exit_code == 0
    assert "T = 2" in found.output
    assert "█" in found.output or "▓" in found.output
    assert isinstance(softstore("show", store.url, "zebra").exception, SoftstoreError)


def test_what_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus[bold]", {"a[b]c": 10, "u[/x]": 10})
    store = make_store(tmp_path / "store[/]", corpus)
    assert "a[b]c" in softstore("show", store.url, "a[b]c").output
    assert "u[/x]" in softstore("show", store.url, "u[/x]").output
    assert "store[/]" in softstore("info", store.url).output.replace("\n", "")
    assert "corpus[bold]" in softstore("corpus", "info", corpus.url).output.replace("\n", "")
