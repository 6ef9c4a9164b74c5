"""ETags before anything is decoded, content encoding, pages elsewhere, deprecation, headers for browsers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

import anyio
import httpx
import pytest
import zstandard
from fastapi import FastAPI, Request, Response
from starlette.types import Message

import softstore
from api import conditional, deprecation
from api.deprecation import Deprecation
from api.middleware.compression import Compression
from api.settings import ServiceSettings
from softstore import Corpus, Store
from softstore.codecs import UInt8
from tests.layers import answering, ask, observed
from tests.samples import make_store
from tests.service import serving

LARGE = json.dumps(list(range(5000))).encode()
ORIGIN = "https://lab.example"


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with serving({"demo": store.url}, ServiceSettings(cors_origins=[ORIGIN])) as client:
        yield client


def request_to(cache_scope: str = "public", **headers: str) -> Request:
    app = FastAPI()
    app.state.cache_scope = cache_scope
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "app": app})


def tag(store: Store, *utterances: str, asked: tuple[object, ...] = ("npy", 1.0)) -> str:
    chosen = [store[utterance_id] for utterance_id in utterances]
    return conditional.published(request_to(), chosen, *asked).headers["ETag"]


def test_a_tag_tells_everything_apart_that_an_answer_hangs_on(store: Store, own_store: Store) -> None:
    same = softstore.open(store.url)
    assert tag(same, "a") == tag(store, "a")
    # Another store, but of the same bytes.
    assert tag(own_store, "a") == tag(store, "a")
    others = [
        tag(store, "b"),
        tag(store, "a", "b"),
        tag(store, "b", "a"),
        tag(store, "a", asked=("json", 1.0)),
        tag(store, "a", asked=("npy", 2.0)),
        tag(store, "a", asked=("npy", "1.0")),
        tag(store, "a", asked=("npy", 1.0, None)),
        tag(store, "a"),
    ]
    assert len(set(others)) == len(others)
    assert all(other.startswith('"') and other.endswith('"') for other in others)


def test_a_tag_tells_stores_of_other_bytes_apart(store: Store, corpus: Corpus, tmp_path: str) -> None:
    other = make_store(f"{tmp_path}/other", corpus, UInt8())
    assert tag(other, "a") != tag(store, "a")


@pytest.mark.parametrize(
    ("named", "unchanged"), [("{}", True), ("W/{}", True), ('"x", {}', True), ("*", True), ('"x"', False)]
)
def test_what_the_client_has_is_not_made_again(store: Store, named: str, unchanged: bool) -> None:
    etag = tag(store, "a")
    request = request_to(if_none_match=named.format(etag))
    version = conditional.published(request, [store["a"]], "npy", 1.0)
    assert version.unchanged == unchanged
    answer: Response = version.not_modified()
    assert (answer.status_code, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_what_a_token_opened_is_nobody_elses(store: Store) -> None:
    version = conditional.published(request_to("private"), [store["a"]])
    assert version.headers["Cache-Control"].startswith("private, ")


def test_a_listing_is_another_one_once_the_store_has_grown(store: Store, own_store: Store) -> None:
    before = conditional.growing(request_to(), [store], "page")
    assert before.headers["Cache-Control"] == "no-cache"
    assert conditional.growing(request_to(), [softstore.open(store.url)], "page").headers == before.headers
    assert conditional.growing(request_to(), [own_store], "page").headers != before.headers


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("*", "zstd"),
        ("*;q=0.5, gzip", "gzip"),
        ("GZIP ; q=0.3", "gzip"),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0, zstd;q=0", None),
        ("*;q=0", None),
        ("br, deflate", None),
        ("gzip;q=nonsense", None),
        ("", None),
    ],
)
def test_the_coding_is_the_one_the_client_likes_best(accepted: str, coding: str | None) -> None:
    app = observed(Compression(answering(LARGE, content_length=str(len(LARGE)), etag='"x"', vary="Accept")))
    answer = anyio.run(ask, app, "/", "GET", {"Accept-Encoding": accepted})
    assert answer.content == LARGE
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["etag"] == ('W/"x"' if coding else '"x"')
    assert int(answer.headers["content-length"]) == answer.num_bytes_downloaded
    assert (answer.num_bytes_downloaded < len(LARGE) / 2) == (coding is not None)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_every_piece_of_a_stream_can_be_read_when_it_is_there(coding: str) -> None:
    pieces = [b"first " * 300, b"second " * 10_000, b"", b"third"]
    app = observed(Compression(answering(pieces, "text/plain", content_length="1")))
    sent: list[bytes] = []

    async def scenario() -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                sent.append(message["body"])
            else:
                names = [name for name, _ in message["headers"]]
                assert b"content-length" not in names

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        headers = [(b"accept-encoding", coding.encode())]
        await app({"type": "http", "path": "/", "method": "GET", "headers": headers}, receive, send)

    anyio.run(scenario)
    assert len(sent) == len(pieces)
    decoder = zstandard.ZstdDecompressor().decompressobj() if coding == "zstd" else None
    if decoder is None:
        assert gzip.decompress(b"".join(sent)) == b"".join(pieces)
    else:
        assert [decoder.decompress(piece) for piece in sent] == pieces


@pytest.mark.parametrize(
    "app",
    [
        answering(b"small"),
        answering(LARGE, "application/octet-stream"),
        answering(LARGE, "application/vnd.apache.arrow.stream"),
        answering(LARGE, "application/x-npy"),
        answering(LARGE, accept_ranges="bytes"),
        answering(LARGE, content_range="bytes 0-9/10"),
        answering(LARGE, content_encoding="br"),
    ],
)
def test_what_gains_nothing_or_must_not_change_stays_as_it_is(app: FastAPI) -> None:
    async def raw() -> bytes:
        transport = httpx.ASGITransport(observed(Compression(app)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Accept-Encoding": "gzip, zstd"}
            async with client.stream("GET", "/", headers=headers) as answer:
                return b"".join([piece async for piece in answer.aiter_raw()])

    assert anyio.run(raw) in (LARGE, b"small")


def test_head_is_not_encoded(client: httpx.Client) -> None:
    answer = client.head("/v1/stores/demo/objects/zarr.json", headers={"Accept-Encoding": "gzip"})
    whole = client.get("/v1/stores/demo/objects/zarr.json", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == str(len(whole.content)) == whole.headers["content-length"]


def test_the_document_comes_encoded(client: httpx.Client) -> None:
    answer = client.get("/openapi.json", headers={"Accept-Encoding": "zstd"})
    assert answer.headers["content-encoding"] == "zstd"
    assert answer.json()["info"]["title"] == "softstore"


def test_pages_elsewhere_may_ask_if_a_setting_says_so(client: httpx.Client, store: Store) -> None:
    path = "/v1/stores/demo/objects/zarr.json"
    answer = client.get(path, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    exposed = answer.headers["access-control-expose-headers"]
    assert {"ETag", "X-Request-ID", "Content-Range"} <= set(exposed.split(", "))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,range"}
    assert client.options(path, headers={"Origin": ORIGIN, **asked}).status_code == 200
    # Why something was refused may be read, too.
    missing = client.get("/v1/stores/nope", headers={"Origin": ORIGIN})
    assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, ORIGIN)
    stranger = client.get(path, headers={"Origin": "https://else.example"})
    assert "access-control-allow-origin" not in stranger.headers
    with serving({"demo": store.url}) as closed:
        assert "access-control-allow-origin" not in closed.get(path, headers={"Origin": ORIGIN}).headers


@pytest.mark.parametrize("path", ["/healthz", "/v1/stores", "/v1/stores/demo/objects/zarr.json", "/nowhere"])
def test_browsers_are_told_to_make_nothing_of_data(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_page_runs_nothing_but_its_own_files() -> None:
    answer = anyio.run(ask, observed(answering(b"<p>", "text/html; charset=utf-8")))
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == (
        "'none'",
        "'self'",
        "'none'",
    )


def test_what_is_to_go_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    going = Deprecation(date(2027, 1, 1), date(2028, 1, 1), "/v2/stores")
    monkeypatch.setattr(deprecation, "DEPRECATED", {"/v1/": going})
    with serving({"demo": store.url}) as client:
        for path in ("/v1/stores", "/v1/stores/demo/objects/zarr.json", "/v1/stores/nope"):
            headers = client.get(path).headers
            since = int(headers["deprecation"].removeprefix("@"))
            assert datetime.fromtimestamp(since, UTC) == datetime(2027, 1, 1, tzinfo=UTC)
            assert parsedate_to_datetime(headers["sunset"]) == datetime(2028, 1, 1, tzinfo=UTC)
            assert headers["link"] == '</v2/stores>; rel="successor-version"'
        assert "deprecation" not in client.get("/healthz").headers
        paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation.get("deprecated", False) == path.startswith("/v1/")


def test_nothing_is_going_today(client: httpx.Client) -> None:
    assert "deprecation" not in client.get("/v1/stores").headers
