"""The record of a run: what is in it, what must not be in it, and what it does without."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from softstore import __version__
from softstore.format import RunRecord
from softstore.provenance import blanked, features_fingerprint, finished, new_run


def begun(**changes: Any) -> RunRecord:
    given: dict[str, Any] = {
        "command": ["softstore", "generate", "corpus"],
        "teacher": "f00d",
        "features": {"kind": "fbank", "dimensions": 40},
        "device": "cuda:0",
        "workers": 2,
    }
    return new_run(**given | changes)


def test_a_record_says_who_what_when_and_with_what() -> None:
    run = begun()
    assert len(run.id) == 16
    assert run.id != begun().id
    assert int(run.id, 16) >= 0
    assert datetime.fromisoformat(run.started).utcoffset() is not None
    assert (run.finished, run.teacher, run.device, run.workers) == (None, "f00d", "cuda:0", 2)
    assert run.versions["softstore"] == __version__
    assert {"python", "torch", "numpy", "zarr", "pyarrow", "platform", "processor"} <= run.versions.keys()
    assert run.user
    assert run.host


def test_a_finished_run_says_what_it_did() -> None:
    run = begun()
    done = finished(run, utterances=3, frames=400, shards=2, skipped=1, seconds=1.23456)
    assert done.finished is not None
    assert datetime.fromisoformat(done.finished) >= datetime.fromisoformat(run.started)
    assert (done.utterances, done.frames, done.shards, done.skipped) == (3, 400, 2, 1)
    assert done.seconds == 1.235
    assert (done.id, done.command) == (run.id, run.command)


def test_a_features_fingerprint_depends_on_what_is_said_not_on_its_order() -> None:
    one = features_fingerprint({"kind": "fbank", "dimensions": 40})
    assert one == features_fingerprint({"dimensions": 40, "kind": "fbank"})
    assert one != features_fingerprint({"dimensions": 80, "kind": "fbank"})
    assert len(one) == 64


SECRETS = [
    ["--token", "hunter22"],
    ["--token=hunter22"],
    ["--api-key", "hunter22"],
    ["--db-password=hunter22"],
    ["AWS_SESSION_TOKEN=hunter22"],
    ["AWS_REGION=hunter22"],
    ["env", "MY_SECRET=hunter22", "softstore"],
    ["sh", "-c", "export S3_SECRET_KEY=hunter22"],
    ["https://anna:hunter22@host/store"],
    ["tcp://hunter22@host:8786"],
    ["--store=https://anna:hunter22@host/store"],
    ["https://host/x?X-Amz-Signature=hunter22&X-Amz-Expires=5"],
    ["https://host/x?a=1&access_token=hunter22#top"],
    ["https://host/x?sv=1&sig=hunter22"],
    ["Authorization: Bearer hunter22hunter22"],
    ["ghp_hunter22hunter22hunter22"],
    ["eyJhunter22.hunter22.hunter22"],
]


@pytest.mark.parametrize("command", SECRETS, ids=" ".join)
def test_secrets_are_blanked(command: list[str]) -> None:
    found = " ".join(blanked(["softstore", *command, "corpus"]))
    assert "hunter22" not in found
    assert "***" in found
    assert found.startswith("softstore ")
    assert found.endswith(" corpus")


def test_the_value_of_a_secret_variable_is_blanked_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOFTSTORE_TOKEN", "open sesame")
    assert blanked(["x", "--header", "X-Auth: open sesame"]) == ["x", "--header", "X-Auth: ***"]


@pytest.mark.parametrize(
    "command",
    [
        [
            "softstore",
            "generate",
            "s3://bucket/a@b/corpus",
            "--teacher",
            "toolkit.tokens:load",
            "--max-kl",
            "0.05",
        ],
        ["softstore", "generate", "c", "--store", "https://host/v1/stores/x/objects", "--workers", "4"],
        ["softstore", "--tokenizer", "bpe.model", "--store", "./token=5/store"],
        ["softstore", "copy", "tcp://10.0.0.1:8786", "--token", "--json"],
    ],
)
def test_everything_else_stays(command: list[str]) -> None:
    assert blanked(command) == command


def git(*arguments: str) -> str:
    ours = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *ours, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_revision_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    assert begun().git is None
    (tmp_path / "recipe.py").write_text("1")
    git("add", "recipe.py")
    git("commit", "-q", "-m", "first")
    git("tag", "-a", "v1", "-m", "tagged")
    assert begun().git == git("rev-parse", "HEAD")
    (tmp_path / "recipe.py").write_text("2")
    assert begun().git == git("rev-parse", "HEAD") + "+"


def test_no_checkout_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert begun().git is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert begun().git is None


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 3_999_999)
    assert begun().user == "uid 3999999"
