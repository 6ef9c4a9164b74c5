"""A service as a storage: its URL, its token, its certificate, and its word that it is busy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trustme
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

import softstore
from api import create_app
from api.problems import LIMIT_EXCEEDED, ProblemError, answer_to
from softstore import Store
from softstore.errors import NotFoundError, StorageError
from softstore.storage import open_storage
from tests.s3 import IMPATIENT
from tests.service import running
from tests.service import serving as serving_stores
from tests.web_server import QuietHandler, serving, web_server

TOKEN = "open-sesame"


@pytest.mark.parametrize("ending", ["", "/", "/objects", "/objects/"])
def test_the_url_of_a_store_opens_it(store: Store, ending: str) -> None:
    with serving_stores({"demo": store.url}) as client:
        url = f"{str(client.base_url).rstrip('/')}/v1/stores/demo"
        remote = softstore.open(url + ending)
        assert remote.url == f"{url}/objects"
        np.testing.assert_array_equal(remote["b"].posteriors(2.0), store["b"].posteriors(2.0))
        with pytest.raises(softstore.NotAStoreError):
            softstore.open(f"{url}s")


def test_the_token_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"data")
    with web_server(tmp_path, TOKEN) as url:
        with pytest.raises(StorageError, match=r"wants a token: .* as token=, or in SOFTSTORE_TOKEN"):
            open_storage(url, retries=IMPATIENT).get("x")
        monkeypatch.setenv("SOFTSTORE_TOKEN", "hunter2")
        with pytest.raises(StorageError, match="refuses this token: pass one"):
            open_storage(url, retries=IMPATIENT).get("x")
        assert open_storage(url, token=TOKEN).get("x") == b"data"
        monkeypatch.setenv("SOFTSTORE_TOKEN", TOKEN)
        storage = open_storage(url)
        assert storage.get("x") == b"data"
        assert TOKEN not in repr(storage)


def test_the_token_goes_to_web_servers_only(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSTORE_TOKEN", TOKEN)
    storage = open_storage(s3_url)
    assert storage.token is None
    with pytest.raises(NotFoundError):
        storage.get("x")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again(status: int) -> None:
    asked = 0

    class Busy(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            nonlocal asked
            asked += 1
            body = b"data" if asked > 3 else b""
            self.send_response(200 if body else status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Busy) as url:
        assert open_storage(url, retries=IMPATIENT).get("x") == b"data"
    assert asked == 4


class Overrun:
    """A service that refuses the first requests for every path, in its own words."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.refused: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        times = self.refused.count(scope.get("path", ""))
        if scope["type"] != "http" or times == 2:
            await self.app(scope, receive, send)
            return
        self.refused.append(scope["path"])
        problem = ProblemError((429, 503)[times], LIMIT_EXCEEDED, "Come back later.")
        await answer_to(Request(scope), problem)(scope, receive, send)


def test_a_store_is_read_although_the_service_is_overrun(store: Store) -> None:
    overrun = Overrun(create_app({"demo": store.url}))
    with running(overrun) as client:
        remote = softstore.open(f"{str(client.base_url).rstrip('/')}/v1/stores/demo")
        np.testing.assert_array_equal(remote["b"].posteriors(2.0), store["b"].posteriors(2.0))
    assert len(overrun.refused) >= 6


def test_connections_are_used_again(tmp_path: Path) -> None:
    connections: set[tuple[str, int]] = set()

    class Counting(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            connections.add(self.client_address)
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"data")

    with serving(Counting) as url:
        storage = open_storage(url)
        for _ in range(20):
            assert storage.get("x") == b"data"
    # A second one may be made before the first has come back.
    assert len(connections) <= 3


def test_a_certificate_of_ones_own_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"data")

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(Handler, authority) as url:
        with pytest.raises(StorageError, match=r"certificate of localhost:.* SSL_CERT_FILE"):
            open_storage(url, retries=IMPATIENT).get("x")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert open_storage(url, retries=IMPATIENT).get("x") == b"data"
