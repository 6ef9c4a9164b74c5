"""What whoever runs the service sees of it: ids, logs, readiness, spans, and damage that does not spread."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.types import Receive, Scope, Send

from api import create_app, readiness
from api.logs import AccessLog, LogFormat
from api.middleware.failures import Failures
from api.middleware.observation import Observation
from api.observer import Observer
from api.settings import ServiceSettings
from api.tracing import Tracing
from softstore import Store
from softstore.errors import MissingDependencyError
from tests.layers import answering, ask, observed
from tests.samples import LENGTHS, make_corpus, make_store
from tests.service import serving

OURS = re.compile("[0-9a-f]{32}")
SHARD = "targets/log_posteriors/c/0/0"


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with serving({"demo": store.url}) as client:
        yield client


def posteriors(client: httpx.Client, utterance_id: str, store: str = "demo") -> httpx.Response:
    path = f"/v1/stores/{store}/utterances/{utterance_id.replace('/', '%2F')}/posteriors"
    return client.get(path, headers={"Accept": "application/x-npy"})


def test_every_answer_has_an_id_of_its_own(client: httpx.Client) -> None:
    paths = ("/healthz", "/v1/stores", "/v1/stores/demo/objects/zarr.json", "/nowhere", "/v1/stores/nope")
    found = [client.get(path).headers["x-request-id"] for path in paths]
    assert all(OURS.fullmatch(request_id) for request_id in found)
    assert len(set(found)) == len(found)


def test_a_clients_id_is_kept_if_it_is_sane(client: httpx.Client) -> None:
    for sane in ("a", "7d5c-2f6e.0b9a", "trace/1:2+3=_", "x" * 128):
        assert client.get("/healthz", headers={"X-Request-ID": sane}).headers["x-request-id"] == sane
    for insane in ("", "x" * 129, "a b", 'a"b', "ä", "{}", "%0d%0aSet-Cookie:"):
        answer = client.get("/healthz", headers={b"X-Request-ID": insane.encode("latin-1")})
        assert OURS.fullmatch(answer.headers["x-request-id"])


def test_a_problem_names_its_request(client: httpx.Client) -> None:
    for path in ("/nowhere", "/v1/stores/nope/objects/zarr.json", "/v1/stores/demo/utterances?limit=0"):
        answer = client.get(path, headers={"X-Request-ID": "mine"})
        assert (answer.headers["content-type"], answer.json()["request_id"]) == (
            "application/problem+json",
            "mine",
        )


def test_what_nobody_foresaw_says_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("secret")

    answer = anyio.run(ask, observed(failing))
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    # The log says it all.
    assert "ZeroDivisionError: secret" in caplog.text


def test_an_answer_that_fails_midway_does_not_look_whole() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        raise ZeroDivisionError

    sent: list[dict[str, Any]] = []

    async def scenario() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        await observed(failing)({"type": "http", "path": "/", "method": "GET", "headers": []}, receive, send)

    anyio.run(scenario)
    assert [message.get("body") for message in sent] == [None, b"12345"]
    assert sent[-1]["more_body"]


def logged(log_format: LogFormat, *paths: str) -> list[str]:
    stream = io.StringIO()
    log = AccessLog(log_format, stream)
    app = Observation(Failures(answering(b"hello")), observer=Observer((), log))

    async def scenario() -> None:
        for path in paths:
            await ask(app, path, headers={"X-Request-ID": "mine"})

    anyio.run(scenario)
    log.flush()
    return stream.getvalue().splitlines()


def test_a_json_line_for_every_request() -> None:
    lines = [json.loads(line) for line in logged("json", "/some/path", "/other?secret=1")]
    assert len(lines) == 2
    first = lines[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first.pop("seconds") >= 0
    assert first == {
        "level": "info",
        "request_id": "mine",
        "method": "GET",
        "route": "unmatched",
        "path": "/some/path",
        "status": 200,
        "bytes": 5,
        "client": "127.0.0.1",
    }
    assert lines[1]["path"] == "/other"


def test_a_text_line_for_every_request() -> None:
    (line,) = logged("text", "/some/path")
    assert re.fullmatch(r"\S+Z info mine 127\.0\.0\.1 GET /some/path 200 5 \d\.\d{6}", line)


def test_the_log_is_written_without_being_flushed() -> None:
    written = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.set()
            return super().write(text)

    stream = Stream()
    AccessLog("json", stream).write({"time": 0.0, "path": "/"})
    assert written.wait(30)
    assert json.loads(stream.getvalue())["path"] == "/"


def test_ready_means_that_stores_can_be_read(own_store: Store, store: Store) -> None:
    with serving({"mine": own_store.url, "demo": store.url}) as client:
        assert client.get("/readyz").json() == {"status": "ready", "stores": 2}
        root = Path(own_store.url, "zarr.json")
        whole = root.read_bytes()
        root.unlink()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["detail"].startswith("Store mine: ")
        assert "Store demo" not in answer.json()["detail"]
        assert str(own_store.url) not in answer.text
        assert client.get("/healthz").status_code == 200
        root.write_bytes(whole)
        assert client.get("/readyz").status_code == 200
        for track in ("targets", "features", "labels"):
            shutil.rmtree(Path(own_store.url, track))
        assert client.get("/readyz").status_code == 503


def test_a_store_that_does_not_answer_is_not_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(readiness, "READ_SECONDS", 0.2)
    answering_again = threading.Event()
    monkeypatch.setattr(readiness, "read_attributes", lambda storage: answering_again.wait(60))
    with serving({"demo": store.url}) as client:
        answers = [client.get("/readyz") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].json()["code"] == "storage_unavailable"
        answering_again.set()
        assert client.get("/healthz").status_code == 200


def test_a_flipped_bit_is_the_problem_of_its_utterance_alone(own_store: Store, store: Store) -> None:
    path = Path(own_store.url) / SHARD
    whole = path.read_bytes()
    # The first chunk holds nothing but frames of the first utterance.
    path.write_bytes(bytes([*whole[:20], whole[20] ^ 1]) + whole[21:])
    first = min(LENGTHS, key=lambda utterance_id: int(own_store[utterance_id].row["first_frame"]))
    with serving({"demo": own_store.url, "whole": store.url}) as client:
        before = _corrupt(client)
        for _ in range(2):
            answer = posteriors(client, first)
            assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_data")
            assert str(own_store.url) not in answer.text
        assert _corrupt(client) == before + 2
        for utterance_id in LENGTHS:
            if utterance_id != first:
                assert (
                    posteriors(client, utterance_id).content
                    == posteriors(client, utterance_id, "whole").content
                )
        assert client.get("/healthz").status_code == 200
        # Mended, it is served: nothing keeps what was damaged.
        path.write_bytes(whole)
        assert posteriors(client, first).content == posteriors(client, first, "whole").content
        assert _corrupt(client) == before + 2


def _corrupt(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith('softstore_corrupt_answers_total{store="demo"')
    )


def test_new_shards_appear_in_all_that_is_said_of_a_store(tmp_path: Path) -> None:
    lengths = {"a": 100, "b": 500}
    url = tmp_path / "store"
    make_store(url, make_corpus(tmp_path / "corpus", lengths))
    with serving({"demo": url}) as client:
        assert posteriors(client, "c").status_code == 404
        grown = make_store(url, make_corpus(tmp_path / "more", {**lengths, "c": 200}))
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(_until_there, client, "/v1/stores/demo/utterances/c")
        assert client.get("/v1/stores/demo").json()["utterances"] == 3
        assert posteriors(client, "c").status_code == 200
        for path in grown.frames.lookup.objects_of(int(grown["c"].row["shard"])):
            assert (
                client.get(f"/v1/stores/demo/objects/{path}").headers["cache-control"].endswith("immutable")
            )
        assert client.get("/readyz").status_code == 200


async def _until_there(client: httpx.Client, path: str) -> None:
    with anyio.fail_after(30):
        while client.get(path).status_code == 404:
            await anyio.sleep(0.05)


@pytest.fixture
def spans() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def test_a_span_for_every_request(spans: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    provider, exporter = spans

    class Route:
        path = "/v1/stores/{store}"

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"], scope["path_params"] = Route, {"store": "demo"}
        raise ZeroDivisionError

    async def scenario() -> None:
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        for app in (answering(b"fine"), failing):
            observing = Observation(Failures(app), observer=Observer({"demo"}), tracing=Tracing(provider))
            await ask(observing, "/v1/stores/demo", headers=trace)

    anyio.run(scenario)
    fine, failed = exporter.get_finished_spans()
    assert (fine.name, failed.name) == ("GET unmatched", "GET /v1/stores/{store}")
    assert _attributes(failed) == {
        "http.request.method": "GET",
        "url.path": "/v1/stores/demo",
        "http.route": "/v1/stores/{store}",
        "http.response.status_code": 500,
        "softstore.store": "demo",
    }
    assert _attributes(fine)["http.response.status_code"] == 200
    assert (fine.status.is_ok, failed.status.is_ok) == (True, False)
    assert fine.parent is not None
    assert f"{fine.parent.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_spans_without_opentelemetry_are_refused_at_the_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingDependencyError, match="OpenTelemetry"):
        create_app({"demo": store.url}, ServiceSettings(tracing=True))
