"""The file of tokens, the command that changes it, and the service that follows it."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import auth
from api.access import Access
from api.auth import Tokens, check_exposure
from api.token_commands import token as command
from api.tokens import add_token, read_tokens, revoke_token
from softstore.errors import ConflictError, InvalidInputError, NotFoundError, SoftstoreError, StorageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at for every token."""
    monkeypatch.setattr(auth, "_LOOK_SECONDS", -1.0)


def test_the_token_itself_is_kept_nowhere(file: Path) -> None:
    made = [add_token(file, name, ["*"]) for name in ("anna", "ben")]
    assert len(set(made)) == 2
    assert all(len(token) >= 43 for token in made)
    text = file.read_text()
    assert not any(token in text for token in made)
    assert [token.name for token in read_tokens(file)] == ["anna", "ben"]


def test_the_file_is_its_owners_alone_and_whole(file: Path) -> None:
    add_token(file, "anna", ["*"])
    file.chmod(0o644)
    add_token(file, "ben", ["*"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_one(file: Path) -> None:
    link = file.with_name("link.json")
    link.symlink_to(file)
    add_token(link, "anna", ["*"])
    assert link.is_symlink()
    assert [token.name for token in read_tokens(file)] == ["anna"]


def test_none_is_lost_when_several_add_at_a_time(file: Path) -> None:
    names = [f"token-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: add_token(file, name, ["*"]), names))
    assert sorted(token.name for token in read_tokens(file)) == sorted(names)


def test_what_cannot_be_is_one_sentence_and_changes_nothing(file: Path) -> None:
    with pytest.raises(NotFoundError, match="softstore token add NAME"):
        read_tokens(file)
    add_token(file, "anna", ["*"])
    before = file.read_bytes()
    with pytest.raises(ConflictError, match="has a token anna"):
        add_token(file, "anna", ["*"])
    with pytest.raises(NotFoundError, match="has no token ben"):
        revoke_token(file, "ben")
    for name, stores in [("a b", ["*"]), ("", ["*"]), ("ben", ["a/b"]), ("ben", ["[ab]"]), ("ben", [])]:
        with pytest.raises(InvalidInputError, match="will not do"):
            add_token(file, name, stores)
    assert file.read_bytes() == before
    with pytest.raises(StorageError, match="No tokens can be kept"):
        add_token(file / "below", "anna", ["*"])
    file.write_text("[]")
    for change in (lambda: add_token(file, "ben", ["*"]), lambda: revoke_token(file, "anna")):
        with pytest.raises(InvalidInputError, match="is no file of tokens"):
            change()
    assert file.read_text() == "[]"


def let_end(file: Path, name: str, moment: str) -> None:
    """As if the token had been made long ago."""
    kept = json.loads(file.read_text())
    for token in kept["tokens"]:
        if token["name"] == name:
            token["expires"] = moment
    file.write_text(json.dumps(kept))


def test_a_token_may_have_an_end(file: Path) -> None:
    shown = add_token(file, "guest", ["demo"], days=90).encode()
    (token,) = read_tokens(file)
    assert token.expires == token.added + timedelta(days=90)
    access = Tokens(file).access(shown)
    assert access is not None
    assert not access.expired
    for moment in ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5+05:30"):
        let_end(file, "guest", moment)
        access = Tokens(file).access(shown)
        assert access is not None
        assert access.expired
    # The others, and what is written of them, are as ever.
    anna = add_token(file, "anna", ["*"]).encode()
    assert Tokens(file).access(anna) == Access("anna", ("*",))
    assert [sorted(token) for token in json.loads(file.read_text())["tokens"]] == [
        ["added", "expires", "name", "sha256", "stores"],
        ["added", "name", "sha256", "stores"],
    ]
    let_end(file, "anna", "2020-01-01T00:00:00")
    with pytest.raises(InvalidInputError, match="expires"):
        read_tokens(file)


@pytest.mark.parametrize("days", [0, -1, 3651, 10**12])
def test_an_end_that_cannot_be(file: Path, days: int) -> None:
    with pytest.raises(InvalidInputError, match=f"cannot last {days} days: give 1 to 3650"):
        add_token(file, "guest", ["*"], days)
    done = CliRunner().invoke(command, ["add", "guest", "--tokens", str(file), "--days", str(days)])
    assert done.exit_code == 2
    assert not file.exists()


def test_which_stores_a_token_opens() -> None:
    some = Access("some", ("demo", "aurora4-*", "run?"))
    opened = [
        name for name in ("demo", "Demo", "demo2", "aurora4-", "aurora4-x", "run1", "run") if some.reads(name)
    ]
    assert opened == ["demo", "aurora4-", "aurora4-x", "run1"]
    assert not some.reads_all
    assert Access("all", ("*",)).reads_all


@pytest.mark.usefixtures("impatient")
def test_a_service_that_runs_follows_the_file(file: Path) -> None:
    anna = add_token(file, "anna", ["*"]).encode()
    tokens = Tokens(file)
    assert tokens.access(anna) == Access("anna", ("*",))
    assert tokens.access(anna[:-1]) is None
    assert tokens.access(b"") is None
    ben = add_token(file, "ben", ["demo"]).encode()
    assert tokens.access(ben) == Access("ben", ("demo",))
    revoke_token(file, "anna")
    assert tokens.access(anna) is None
    assert tokens.access(ben) is not None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("damage", ["gone", "no JSON", "no tokens"])
def test_a_damaged_file_opens_nothing_until_it_is_mended(
    file: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    anna = add_token(file, "anna", ["*"]).encode()
    tokens, whole = Tokens(file), file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_text({"no JSON": "{", "no tokens": '{"tokens": [{}]}'}[damage])
    assert tokens.access(anna) is None
    assert "No token is accepted" in caplog.text
    file.write_bytes(whole)
    assert tokens.access(anna) is not None
    file.write_text("{")
    with pytest.raises(SoftstoreError):
        Tokens(file)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1"])
def test_only_this_machine_reads_without_tokens(address: str) -> None:
    check_exposure(address, tokens=None, no_auth=False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "fe80::1%eth0"])
def test_others_are_let_in_only_on_purpose(address: str) -> None:
    with pytest.raises(InvalidInputError, match=r"token add.*--tokens FILE.*--no-auth"):
        check_exposure(address, tokens=None, no_auth=False)
    check_exposure(address, tokens=Path("tokens.json"), no_auth=False)
    check_exposure(address, tokens=None, no_auth=True)


def test_the_command(file: Path) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(command, [*arguments, "--tokens", str(file)], catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    made = run("add", "anna")
    assert Tokens(file).access(made.strip().encode()) == Access("anna", ("*",))
    run("add", "lab", "--store", "demo", "--store", "aurora4-*")
    listed = run("list")
    assert [line.split()[0] for line in listed.splitlines()] == ["anna", "lab"]
    assert "demo aurora4-*" in listed
    assert made.strip() not in listed
    assert listed.count("until it is revoked") == 2
    run("add", "guest", "--days", "90")
    until = read_tokens(file)[2].expires
    assert until is not None
    assert f"until {until:%Y-%m-%d %H:%M} UTC" in run("list").splitlines()[2]
    let_end(file, "guest", "2020-01-02T03:04:05Z")
    assert "expired 2020-01-02 03:04 UTC" in run("list").splitlines()[2]
    run("revoke", "guest")
    run("revoke", "anna")
    assert [token["name"] for token in json.loads(file.read_text())["tokens"]] == ["lab"]
