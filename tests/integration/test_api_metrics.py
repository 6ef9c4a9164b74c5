"""What `/metrics` counts, of one process and of several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api import metrics
from softstore import Store
from tests.processes import ROOT, Process, wait_for
from tests.service import serving

Labels = dict[str, str]
POSTERIORS = "/v1/stores/{store}/utterances/{utterance_id:path}/posteriors"


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with serving({"demo": store.url}) as client:
        yield client


def value(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of that name that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def counted(client: httpx.Client, name: str, **labels: str) -> float:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return value(response.text, name, **labels)


def test_requests_by_method_route_status_and_store(client: httpx.Client) -> None:
    wanted = {"method": "GET", "route": POSTERIORS, "status": "200", "store": "demo"}
    missed = {**wanted, "status": "404"}
    before = counted(client, "softstore_requests_total", **wanted)
    before_missed = counted(client, "softstore_requests_total", **missed)
    for utterance in ("a", "e%2Fwith%20slash", "e/with%20slash"):
        assert client.get(f"/v1/stores/demo/utterances/{utterance}/posteriors?stop=1").status_code == 200
    client.get("/v1/stores/demo/utterances/nobody/posteriors")
    assert counted(client, "softstore_requests_total", **wanted) == before + 3
    assert counted(client, "softstore_requests_total", **missed) == before_missed + 1
    assert counted(client, "softstore_request_seconds_count", route=POSTERIORS, store="demo") >= 4
    assert counted(client, "softstore_request_seconds_bucket", route=POSTERIORS, le="+Inf") >= 4


def test_bytes_are_those_that_were_sent(client: httpx.Client, store: Store) -> None:
    of_objects = {"route": "/v1/stores/{store}/objects/{path:path}", "store": "demo"}
    before = counted(client, "softstore_sent_bytes_total", **of_objects)
    size = (Path(store.url) / "zarr.json").stat().st_size
    client.get("/v1/stores/demo/objects/zarr.json")
    client.get("/v1/stores/demo/objects/zarr.json", headers={"Range": "bytes=0-9"})
    client.head("/v1/stores/demo/objects/zarr.json")
    assert counted(client, "softstore_sent_bytes_total", **of_objects) == before + size + 10


def test_clients_cannot_make_labels_up(client: httpx.Client) -> None:
    for number in range(20):
        client.get(f"/v1/stores/no-{number}")
        client.get(f"/no/such/path/{number}")
        client.request(f"VERB{chr(65 + number)}", "/v1/stores")
    text = client.get("/metrics").text
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "softstore_requests_total"
    ]
    assert not [sample for sample in samples if sample.labels["store"].startswith("no-")]
    assert not [sample for sample in samples if "no" in sample.labels["route"].split("/")]
    assert value(text, "softstore_requests_total", route="unmatched", status="404") >= 20
    assert "VERB" not in text


def test_in_flight_is_whoever_asks(client: httpx.Client) -> None:
    assert counted(client, "softstore_requests_in_flight") == 1


def test_routes_add_what_only_they_know(client: httpx.Client) -> None:
    names = ("decoded_frames", "cache_hits", "cache_misses", "corrupt_answers")
    before = [counted(client, f"softstore_{name}_total", store="demo") for name in names]
    metrics.frames_decoded("demo", 500)
    metrics.cache_hit("demo")
    metrics.cache_hit("demo")
    metrics.cache_miss("demo")
    metrics.corrupt_answer("demo")
    after = [counted(client, f"softstore_{name}_total", store="demo") for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [500, 2, 1, 1]


def test_openmetrics_for_those_who_ask(client: httpx.Client) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_several_workers_answer_for_all(tmp_path: Path) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    work = "from api import metrics; metrics.frames_decoded('demo', 100); metrics.in_flight.inc()"
    wait = "; import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    living = Process("-c", work + wait, str(tmp_path / "living"), environment=environment)
    killed = Process("-c", work + wait, str(tmp_path / "killed"), environment=environment)
    try:
        for process, name in ((living, "living"), (killed, "killed")):
            wait_for((tmp_path / name).exists, process)
        killed.send(signal.SIGKILL)
        killed.end()
        show = "from api import metrics; print(metrics.exposition('')[0].decode())"
        text = subprocess.run(
            [sys.executable, "-c", show],
            env={**os.environ, **environment},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    finally:
        living.wipe_out()
        killed.wipe_out()
    # What the dead worker did is done; what it was doing is not under way any more.
    assert value(text, "softstore_decoded_frames_total", store="demo") == 200
    assert value(text, "softstore_requests_in_flight") == 1
