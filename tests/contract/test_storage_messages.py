"""One sentence: what failed, where, and what to do; never a secret."""

from __future__ import annotations

import pickle
import re
import socket
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from softstore.errors import InvalidInputError, NotFoundError, SoftstoreError, StorageError
from softstore.storage import Storage, open_storage
from tests.faults import faulty_proxy
from tests.s3 import BUCKET, IMPATIENT
from tests.web_server import QuietHandler, serving, web_server

TOKEN = "open-sesame"
SECRETS = ("test-key", "test-secret", TOKEN, "hunter2")


@pytest.fixture
def nowhere() -> str:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A web server that asks for the token."""
    (tmp_path / "x").write_bytes(b"data")
    with web_server(tmp_path, TOKEN) as url:
        yield url


def complaint(ask: Callable[[], Any], kind: type[SoftstoreError] = StorageError) -> str:
    """What an error says: one line that ends with a full stop and has no secret in it."""
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert re.fullmatch(r"[A-Z][^\n]*\.", text)
    assert not any(secret in text for secret in SECRETS)
    return text


def test_no_such_bucket(s3_endpoint: str) -> None:
    storage = open_storage("s3://no-such-bucket/store", retries=IMPATIENT)
    for ask in (
        lambda: storage.get("x"),
        lambda: storage.put("x", b""),
        lambda: storage.create("x", b""),
        lambda: list(storage.walk()),
    ):
        assert "there is no bucket no-such-bucket at 127.0.0.1:" in complaint(ask)
        assert complaint(ask).endswith(": make it, or correct the name.")


def test_credentials_that_s3_refuses(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_proxy(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        storage = open_storage(f"s3://{BUCKET}/store", retries=IMPATIENT)
        for method, ask in (("GET", lambda: storage.get("x")), ("PUT", lambda: storage.put("x", b""))):
            proxy.inject("refuse", method=method)
            assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in complaint(ask)
            assert len(proxy.requests) == 1
            proxy.clear()
        assert not any(secret in repr(storage) for secret in SECRETS)


def test_no_credentials_at_all(s3_endpoint: str, nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv(
        "AWS_METADATA_ENDPOINT", f"http://{nowhere}"
    )  # where obstore looks for a machine's own
    storage = open_storage(f"s3://{BUCKET}/store", retries=IMPATIENT)
    said = complaint(lambda: storage.get("x"))
    assert said.endswith("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")


def test_nobody_listens(nowhere: str) -> None:
    storage = open_storage(f"http://{nowhere}/store", retries=IMPATIENT)
    assert complaint(lambda: storage.get("a/b")) == (
        f"Could not read 'a/b' in http://{nowhere}/store: no connection to {nowhere} (Connection refused): "
        "check the address and that it runs."
    )


def test_no_such_host() -> None:
    storage = open_storage("http://no-such-host.invalid/store", retries=IMPATIENT)
    assert "no connection to no-such-host.invalid" in complaint(lambda: storage.size("x"))


def test_a_token_is_wanted(guarded: str) -> None:
    storage = open_storage(guarded, retries=IMPATIENT)
    for ask in (lambda: storage.get("x"), lambda: storage.get_range("x", 0, 1), lambda: storage.size("x")):
        assert f"{guarded[7:]} wants a token: pass one" in complaint(ask)


def test_a_token_is_refused(guarded: str) -> None:
    storage = open_storage(guarded, token="hunter2", retries=IMPATIENT)
    assert f"{guarded[7:]} refuses this token: pass one" in complaint(lambda: storage.get("x"))
    assert complaint(lambda: storage.exists("x"))


def test_the_right_token_is_used_and_never_shown(guarded: str) -> None:
    storage = open_storage(guarded, token=TOKEN)
    assert storage.get("x") == b"data"
    assert TOKEN not in repr(storage)
    assert TOKEN not in str(storage)
    again: Storage = pickle.loads(pickle.dumps(storage))  # noqa: S301
    assert again.get("x") == b"data"
    assert TOKEN not in complaint(lambda: storage.get("y"), NotFoundError)


def test_a_web_server_without_ranges_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(1000))

    class Handler(QuietHandler, SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            SimpleHTTPRequestHandler.__init__(self, *args, directory=str(tmp_path))

    with serving(Handler) as url:
        storage = open_storage(url, retries=IMPATIENT)
        assert storage.get("x") == bytes(1000)
        assert "does not support Range requests" in complaint(lambda: storage.get_range("x", 10, 20))


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@host/store",
        "s3://test-key:test-secret@bucket/store",
        "ftp://user:hunter2@host/",
        "https://host/store?token=hunter2",
        "https://host/store#hunter2",
        "http://user:hunter2@[",
    ],
)
def test_a_url_with_a_secret_is_refused_without_repeating_it(url: str) -> None:
    assert complaint(lambda: open_storage(url), InvalidInputError).startswith("A URL beginning with")
