"""Whatever a client may make large, slow or many has a limit, and the refusal names it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from api import protocol
from api.limits import HEAD_BYTES, Limits
from api.middleware.bodies import Bodies
from api.middleware.heavy import HEAVY, Heavy
from api.middleware.patience import Patience
from api.settings import ServiceSettings
from softstore import Store
from tests.layers import answering, ask, observed
from tests.service import running, serving

BODY_BYTES = 1000
SECONDS = 0.4
POST = b"POST /v1/stores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HEAVY_PATH = "/v1/stores/demo/batch"


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    limits = Limits(body_bytes=BODY_BYTES, request_seconds=SECONDS)
    with serving({"demo": store.url}, ServiceSettings(limits=limits)) as client:
        yield client


def spoken(client: httpx.Client, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """The status and problem that these bytes are answered with, on a connection that then ends."""
    with socket.create_connection(
        (client.base_url.host, client.base_url.port or 0), timeout=30
    ) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    return int(head.split()[1]), json.loads(body)


def test_bodies_up_to_the_limit_reach_the_route(client: httpx.Client) -> None:
    assert client.post("/v1/stores", content=b"x" * BODY_BYTES).status_code == 405


def test_a_body_that_says_it_is_too_large_is_not_waited_for(client: httpx.Client) -> None:
    status, problem = spoken(client, POST + b"Content-Length: 1001\r\n\r\n")
    assert (status, problem["code"], problem["limit"]) == (413, "limit_exceeded", BODY_BYTES)
    assert "1000 bytes" in problem["detail"]


def test_a_body_that_turns_out_too_large_is_not_read_on(client: httpx.Client) -> None:
    piece = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    status, problem = spoken(client, POST + b"Transfer-Encoding: chunked\r\n\r\n", piece, piece, piece)
    assert (status, problem["limit"]) == (413, BODY_BYTES)


def test_a_body_that_does_not_come_is_given_up(client: httpx.Client) -> None:
    status, problem = spoken(client, POST + b'Content-Length: 100\r\n\r\n{"items": [')
    assert (status, problem["code"], problem["limit"]) == (408, "limit_exceeded", SECONDS)


def test_a_body_that_trickles_is_given_up(client: httpx.Client) -> None:
    async def trickle() -> bytes:
        host, port = client.base_url.host, client.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(POST + b"Content-Length: 500\r\n\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(SECONDS / 20)

        dripping = asyncio.create_task(drip())
        try:
            return await reader.readline()
        finally:
            dripping.cancel()
            writer.close()

    assert asyncio.run(trickle()).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("more", [HEAD_BYTES + 1, 50 * HEAD_BYTES], ids=["a byte", "much"])
@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nX-Long: "])
def test_heads_have_an_end(client: httpx.Client, begin: bytes, more: int) -> None:
    status, problem = spoken(client, begin, b"x" * more)
    assert (status, problem["code"], problem["limit"]) == (431, "limit_exceeded", HEAD_BYTES)


def test_a_long_head_after_another_request(client: httpx.Client) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(
        (client.base_url.host, client.base_url.port or 0), timeout=30
    ) as connection:
        connection.sendall(first)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /v1/stores?x=" + b"y" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"y" * HEAD_BYTES)
        assert connection.recv(65536).startswith(b"HTTP/1.1 431")


class Gated:
    """An application whose answers wait until it is opened; it counts those that are at work."""

    def __init__(self) -> None:
        self.opened = anyio.Event()
        self.working = self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.working += 1
        self.most = max(self.most, self.working)
        await self.opened.wait()
        self.working -= 1
        await answering(b"{}")(scope, receive, send)


def test_what_decodes_takes_turns_and_the_rest_is_told_to_come_back() -> None:
    async def scenario() -> tuple[list[httpx.Response], httpx.Response, int]:
        gated = Gated()
        app = observed(Heavy(gated, running=2, waiting=3))
        answers: list[httpx.Response] = []

        async def one() -> None:
            answers.append(await ask(app, HEAVY_PATH))
            if answers[-1].status_code == 429 and len(answers) == 2:
                small.append(await ask(observed(Heavy(answering(b"{}"), running=1, waiting=0)), "/v1/stores"))
                gated.opened.set()

        small: list[httpx.Response] = []
        async with anyio.create_task_group() as group:
            for _ in range(7):
                group.start_soon(one)
        return answers, small[0], gated.most

    answers, small, most = anyio.run(scenario)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 2
    assert small.status_code == 200
    assert most == 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert (refused.json()["code"], refused.json()["limit"]) == ("limit_exceeded", 5)


def test_a_client_that_takes_its_time_leaves_its_turn_to_others() -> None:
    async def scenario() -> bytes:
        heavy = Heavy(answering([b"1", b"2"]), running=1, waiting=5)
        got: list[bytes] = []

        async def slowly(message: Message) -> None:
            got.append(message.get("body", b""))
            if message.get("body") == b"1":
                # While this client is busy with the first piece, another is served from beginning to end.
                assert (await ask(observed(heavy), HEAVY_PATH)).content == b"12"

        async def nothing() -> Message:
            return {"type": "http.disconnect"}

        with anyio.fail_after(30):
            await heavy({"type": "http", "path": HEAVY_PATH}, nothing, slowly)
        return b"".join(got)

    assert anyio.run(scenario) == b"12"


def test_turns_are_given_back_by_what_fails() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("for whatever reason")

    async def scenario() -> list[int]:
        app = observed(Heavy(failing, running=1, waiting=0))
        return [(await ask(app, HEAVY_PATH)).status_code for _ in range(5)]

    assert anyio.run(scenario) == [500] * 5


def test_a_slow_body_does_not_take_a_turn() -> None:
    async def scenario() -> httpx.Response:
        app = observed(Bodies(Heavy(answering(b"{}"), running=1, waiting=0), limit=100))
        begun = anyio.Event()

        async def never() -> Message:
            begun.set()
            await anyio.sleep_forever()
            raise AssertionError

        async def nowhere(message: Message) -> None:
            raise AssertionError

        scope: Scope = {"type": "http", "path": HEAVY_PATH, "method": "POST", "headers": []}

        async def slow() -> None:
            await app(scope, never, nowhere)

        async with anyio.create_task_group() as group:
            group.start_soon(slow)
            await begun.wait()
            answer = await ask(app, HEAVY_PATH, "POST")
            group.cancel_scope.cancel()
        return answer

    assert anyio.run(scenario).status_code == 200


@pytest.mark.parametrize(
    ("path", "heavy"),
    [
        ("/v1/stores/demo/utterances/a%2Fb/posteriors", True),
        ("/v1/stores/demo/utterances/a/b/posteriors", True),
        ("/v1/stores/demo/utterances/a/statistics", True),
        ("/v1/stores/demo/batch", True),
        ("/v1/stores/demo/utterances/a", False),
        ("/v1/stores/demo/objects/targets/c/0", False),
        ("/v1/stores/demo/utterances", False),
        ("/v1/stores", False),
        ("/metrics", False),
        ("/", False),
    ],
)
def test_what_is_heavy(path: str, heavy: bool) -> None:
    assert (HEAVY.fullmatch(path) is not None) == heavy


def test_an_answer_that_does_not_begin_is_given_up() -> None:
    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    async def scenario() -> httpx.Response:
        return await ask(observed(Patience(stuck, seconds=0.05)))

    answer = anyio.run(scenario)
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (
        503,
        "limit_exceeded",
        0.05,
    )
    assert answer.headers["retry-after"] == "5"


def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"at last"})

    assert anyio.run(ask, observed(Patience(slow, seconds=0.05))).content == b"at last"


WHOLE = 64 << 20
"""Bytes, more than sockets hold."""


class Watching:
    """An application with a large answer, which at /idle does not end before its client has left."""

    def __init__(self) -> None:
        self.left = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": b"x" * WHOLE, "more_body": scope["path"] == "/idle"}
        )
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()


def test_a_client_that_takes_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TAKING_SECONDS", 1.0)
    app = Watching()
    with running(app) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as idle:
            idle.sendall(b"GET /idle HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(100).startswith(b"HTTP/1.1 200")
            assert app.left.wait(60)
        # Who takes a little from time to time may take as long as it takes.
        with client.stream("GET", "/slow") as answer:
            taken = 0
            for piece in answer.iter_raw(WHOLE // 16):
                taken += len(piece)
                time.sleep(0.15)
        assert taken == WHOLE


def test_to_be_cancelled_by_others_is_not_to_be_late() -> None:
    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    async def scenario() -> bool:
        with anyio.move_on_after(0.05) as waited:
            await ask(observed(Patience(stuck, seconds=60)))
        return waited.cancelled_caught

    assert anyio.run(scenario)


def test_limits_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOFTSTORE_LIMITS__BODY_BYTES", "77")
    assert ServiceSettings().limits.body_bytes == 77
