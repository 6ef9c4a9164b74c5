"""Clients that are slow, silent, gone or too many: the service answers the others, and forgets them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

import softstore
from softstore import Store
from softstore.codecs import Float32
from softstore.generate import generate
from softstore.storage import open_storage
from tests.processes import wait_for
from tests.samples import CHUNK_FRAMES, LinearTeacher, make_corpus
from tests.service_process import Service, service

MANY = 1000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Some megabytes of posteriors, more than sockets hold."""
    place = tmp_path_factory.mktemp("large")
    corpus = make_corpus(place / "corpus", {f"u{number:03}": 512 for number in range(64)})
    storage = open_storage(place / "store", writable=True)
    generate(corpus, LinearTeacher(), storage, Float32(), shard_frames=1 << 15, chunk_frames=CHUNK_FRAMES)
    return softstore.open(place / "store")


@pytest.fixture(scope="module")
def served(large: Store) -> Iterator[Service]:
    with service(f"large={large.url}") as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left(served: Service, large: Store) -> Iterator[None]:
    """Whatever a test's clients do, the service is afterwards as it was, and answers."""
    for path in ("/v1/stores/large", a_large_object(large), "/v1/stores/large/objects/zarr.json"):
        # What is opened once is opened.
        httpx.get(served.url + path).raise_for_status()
    wait_for(lambda: in_flight(served) == 1)
    files = served.open_files()
    yield
    wait_for(lambda: served.open_files() <= files and in_flight(served) == 1, served.process)


def in_flight(served: Service) -> int:
    """Requests being answered; one asks."""
    lines = httpx.get(f"{served.url}/metrics").text.splitlines()
    return sum(
        int(float(line.split()[-1])) for line in lines if line.startswith("softstore_requests_in_flight")
    )


def connect(served: Service) -> socket.socket:
    address = urlsplit(served.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=30)


def a_large_object(store: Store) -> str:
    path, found = max(store.manifest.objects.items(), key=lambda item: item[1].size)
    assert found.size > 8 << 20
    return f"/v1/stores/large/objects/{path}"


def others_are_answered(served: Service) -> None:
    for path in ("/v1/stores/large", "/v1/stores/large/utterances/u001/posteriors?stop=2"):
        assert httpx.get(served.url + path).status_code == 200


def test_requests_that_never_end(served: Service) -> None:
    with ExitStack() as stack:
        for number in range(200):
            line = [b"", b"GET /v1/stores HT", b"GET /v1/stores HTTP/1.1\r\nHost: x\r\nX-Lon"][number % 3]
            stack.enter_context(connect(served)).sendall(line)
        others_are_answered(served)


def test_bodies_that_never_come(served: Service) -> None:
    head = b"POST /v1/stores/large/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        for _ in range(50):
            waiting = stack.enter_context(connect(served))
            waiting.sendall(head + b'Content-Length: 100\r\n\r\n{"items": [')
        others_are_answered(served)


def test_answers_that_nobody_reads(served: Service, large: Store) -> None:
    request = f"GET {a_large_object(large)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(50):
            waiting = stack.enter_context(connect(served))
            waiting.sendall(request)
            assert waiting.recv(1000).startswith(b"HTTP/1.1 200")
        others_are_answered(served)


def test_clients_that_leave_in_the_middle(served: Service, large: Store) -> None:
    posteriors = "/v1/stores/large/utterances/u001/posteriors"
    for path in [a_large_object(large), posteriors] * 30:
        with connect(served) as leaving:
            leaving.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            leaving.recv(100)
    others_are_answered(served)


def test_a_body_beyond_the_limit(served: Service) -> None:
    head = "POST /v1/stores/large/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for length in ("Content-Length: 1000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"):
        with connect(served) as client:
            client.sendall((head + length).encode())
            chunk = b" " * 65536
            try:
                for _ in range(1000):
                    client.sendall(b"10000\r\n" + chunk + b"\r\n" if "chunked" in length else chunk)
            except ConnectionError:
                pass  # it has said so, and does not listen any more
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413"), answer
    others_are_answered(served)


def test_a_thousand_at_once(served: Service) -> None:
    """Each over a connection of its own, all open together; nobody is turned away for small answers."""

    async def ask() -> list[int]:
        limits = httpx.Limits(max_connections=MANY, max_keepalive_connections=MANY)
        opened = asyncio.Barrier(MANY)
        async with httpx.AsyncClient(base_url=served.url, limits=limits, timeout=120) as client:

            async def one(number: int) -> int:
                first = await client.get(f"/v1/stores/large/utterances/u{number % 64:03}")
                await opened.wait()
                second = await client.get("/v1/stores/large/objects/zarr.json")
                return max(first.status_code, second.status_code)

            return await asyncio.gather(*(one(number) for number in range(MANY)))

    assert set(asyncio.run(ask())) == {200}
