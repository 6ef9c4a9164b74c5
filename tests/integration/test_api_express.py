"""Answers that are ready are given without the layers, and nobody can tell."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api import create_app
from api.settings import ServiceSettings
from api.tokens import add_token, revoke_token
from softstore import Store
from tests.processes import wait_for
from tests.samples import LENGTHS
from tests.service import running

OBJECT = "/v1/stores/demo/objects/targets/log_posteriors/c/0/0"
BATCH = "/v1/stores/demo/batch"
ITEMS = [{"utterance_id": utterance_id} for utterance_id, length in LENGTHS.items() if length]


class Counted:
    """An application that knows how many requests came to it."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += scope["type"] == "http"
        await self.app(scope, receive, send)


@contextmanager
def counted(store: Store, **settings: Any) -> Iterator[tuple[httpx.Client, Counted]]:
    app = Counted(create_app({"demo": store.url}, ServiceSettings(**settings)))
    with running(app) as client:
        yield client, app


def at_once(client: httpx.Client, app: Counted, **asked: Any) -> httpx.Response:
    """An answer that no layer saw; once a second, one of them has to look whether the store has grown."""
    for _ in range(10):
        before = app.requests
        response = client.request(**asked)
        if app.requests == before:
            return response
    raise AssertionError(f"{asked} always goes through the layers")


def batch(encoding: str, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "url": BATCH, "json": {"items": ITEMS, "encoding": encoding, **more}}


def part(**headers: str) -> dict[str, Any]:
    return {"method": "GET", "url": OBJECT, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}


SAME = {
    "whole": part(),
    "first bytes": part(Range="bytes=0-99"),
    "last bytes": part(Range="bytes=-7"),
    "several ranges": part(Range="bytes=0-1,5-6"),
    "encoded": batch("encoded"),
    "softened": batch("posteriors", temperature=2.0),
}
LEFT = {
    "no such object": {"method": "GET", "url": f"{OBJECT}9"},
    "no such store": {"method": "GET", "url": OBJECT.replace("demo", "other")},
    "of another version": part(Range="bytes=0-99", If_Range='"other"'),
    "if it is new": part(If_None_Match='"other"'),
    "beyond the end": part(Range="bytes=99999999-"),
    "head": {"method": "HEAD", "url": OBJECT},
    "from a page": part(Origin="https://lab.example"),
    "query": {"method": "GET", "url": f"{OBJECT}?a=b"},
    "no items": {"method": "POST", "url": BATCH, "json": {"items": []}},
    "not acceptable": batch("encoded") | {"headers": {"Accept": "text/html"}},
    "closing": part(Connection="close"),
}


def told(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """All that differs between answers that differ."""
    kept = {name: value for name, value in response.headers.items() if name not in ("date", "x-request-id")}
    # Whether it was made piece by piece, or is one.
    kept.pop("transfer-encoding", None)
    kept.pop("content-length", None)
    return response.status_code, kept, response.content


@pytest.mark.parametrize("asked", SAME)
def test_the_same_as_through_the_layers(store: Store, asked: str) -> None:
    with counted(store) as (client, app):
        app.app.state.express = None
        with running(app) as layered:
            through_layers = told(layered.request(**SAME[asked]))
        for _ in range(2):
            # The second one was kept.
            found = at_once(client, app, **SAME[asked])
            assert told(found) == through_layers
            assert int(found.headers["content-length"]) == len(found.content)


def test_an_object_that_changes_is_another_one_soon(own_store: Store) -> None:
    metadata = Path(own_store.url, "zarr.json")
    asked: dict[str, Any] = {"method": "GET", "url": "/v1/stores/demo/objects/zarr.json"}
    with counted(own_store) as (client, app):
        for _ in range(2):
            assert at_once(client, app, **asked).content == metadata.read_bytes()
        replaced = metadata.with_suffix(".new")
        replaced.write_bytes(metadata.read_bytes() + b"\n")
        replaced.replace(metadata)
        wait_for(lambda: client.request(**asked).content == metadata.read_bytes())


@pytest.mark.parametrize("asked", LEFT)
def test_everything_else_goes_through_the_layers(store: Store, asked: str) -> None:
    with counted(store) as (client, app):
        client.request(**SAME["whole"])
        before = app.requests
        client.request(**LEFT[asked])
        assert app.requests == before + 1


def test_ids_counters_and_lines_of_the_log(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with counted(store, access_log=True, log_format="json") as (client, app):
        metrics = client.get("/metrics").text
        response = at_once(client, app, **part(X_Request_ID="mine", Range="bytes=0-9"))
        assert response.headers["x-request-id"] == "mine"
        changed = set(client.get("/metrics").text.splitlines()) - set(metrics.splitlines())
        route = 'route="/v1/stores/{store}/objects/{path:path}"'
        assert any(line.startswith("softstore_requests_total") and route in line for line in changed)
    line = [line for line in capsys.readouterr().err.splitlines() if '"mine"' in line][-1]
    wanted = {"request_id": "mine", "status": 206, "bytes": 10, "path": OBJECT, "client": "127.0.0.1"}
    assert json.loads(line).items() >= wanted.items()


def test_tokens(store: Store, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    bearer = {"Authorization": f"Bearer {add_token(tokens, 'ana', ['demo'])}"}
    other = {"Authorization": f"Bearer {add_token(tokens, 'bob', ['else'])}"}
    with counted(store, tokens=tokens) as (client, app):
        assert client.get(OBJECT, headers=bearer).headers["cache-control"].startswith("private")
        assert at_once(client, app, **part(**bearer)).status_code == 200
        assert client.get(OBJECT).status_code == 401
        assert client.get(OBJECT, headers=other).status_code == 404
        revoke_token(tokens, "ana")
        wait_for(lambda: client.get(OBJECT, headers=bearer).status_code == 401)


def raw(client: httpx.Client) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answers(connection: socket.socket) -> list[bytes]:
    """The bodies of all answers until the server closes."""
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    return [body.partition(b"\r\n\r\n")[2] for body in received.split(b"HTTP/1.1 ")[1:]]


def test_pipelined_requests_are_answered_in_turn(store: Store) -> None:
    with counted(store) as (client, _), raw(client) as connection:
        whole = client.get(OBJECT).content
        ready = b"GET %b HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n"
        slow = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        last = (
            b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=0-0\r\n\r\n" % OBJECT.encode()
        )
        requests = [ready % (OBJECT.encode(), n, n + 9) for n in range(20)]
        connection.sendall(b"".join([*requests[:10], slow, *requests[10:], last]))
        found = answers(connection)
        assert found[:10] + found[11:-1] == [whole[n : n + 10] for n in range(20)]
        assert b"ok" in found[10]


def test_bodies_in_pieces(store: Store) -> None:
    with counted(store) as (client, _), raw(client) as connection:
        expected = [client.request(**batch("encoded")).content for _ in range(2)][-1]
        body = json.dumps({"items": ITEMS, "encoding": "encoded"}).encode()
        head = f"POST {BATCH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        for sent in (head.encode(), b"\r\n", body[:5], body[5:9], body[9:]):
            connection.sendall(sent)
            time.sleep(0.02)
        closing = f"{head}Connection: close\r\n\r\n".encode() + body
        connection.sendall(closing)
        assert answers(connection) == [expected, expected]
