"""Labels and features over HTTP are those of the reader."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

import softstore
from api import spans
from api.formats import ARROW, JSON, NPY
from api.models import Features, Labels
from softstore import Store
from softstore.codecs import Float32
from tests.integration.test_api_posteriors import matrix, problem
from tests.samples import CLASSES
from tests.service import serving

UTTERANCE = "/v1/stores/demo/utterances/b"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of nothing but posteriors."""
    path = str(tmp_path_factory.mktemp("bare") / "store")
    with softstore.create(path, class_count=CLASSES, teacher="t", codec=Float32()) as recorder:
        recorder.add("b", uniform(5))
    return path


def uniform(frames: int) -> Any:
    return np.full((frames, CLASSES), -np.log(CLASSES), np.float32)


@pytest.fixture(scope="module")
def client(store: Store, bare: str) -> Iterator[httpx.Client]:
    with serving({"demo": store.url, "bare": bare}) as client:
        yield client


@pytest.mark.parametrize(("start", "stop"), [(0, None), (63, 200), (5, 5)])
def test_labels_in_every_format(client: httpx.Client, store: Store, start: int, stop: int | None) -> None:
    params = {"start": start} | ({} if stop is None else {"stop": stop})
    expected = store["b"].labels(start, stop)
    body = Labels.model_validate(client.get(f"{UTTERANCE}/labels", params=params).json())
    assert (body.utterance_id, body.start, body.stop) == ("b", start, 300 if stop is None else stop)
    np.testing.assert_array_equal(body.labels, expected)
    binary = np.load(
        io.BytesIO(client.get(f"{UTTERANCE}/labels", params=params, headers={"Accept": NPY}).content)
    )
    np.testing.assert_array_equal(binary, expected)
    assert binary.dtype == np.uint16
    answer = client.get(f"{UTTERANCE}/labels", params=params, headers={"Accept": ARROW})
    table = pa.ipc.open_stream(answer.content).read_all()
    np.testing.assert_array_equal(table["labels"].to_numpy(), expected)


@pytest.mark.parametrize(("start", "stop"), [(0, None), (63, 200), (5, 5)])
def test_features_in_every_format(client: httpx.Client, store: Store, start: int, stop: int | None) -> None:
    params = {"start": start} | ({} if stop is None else {"stop": stop})
    expected = store["b"].features(start, stop)
    body = Features.model_validate(client.get(f"{UTTERANCE}/features", params=params).json())
    np.testing.assert_array_equal(np.array(body.features, np.float16).reshape(expected.shape), expected)
    answer = client.get(f"{UTTERANCE}/features", params=params, headers={"Accept": NPY})
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), expected)
    answer = client.get(f"{UTTERANCE}/features", params=params, headers={"Accept": ARROW})
    table = pa.ipc.open_stream(answer.content).read_all()
    np.testing.assert_array_equal(matrix(table, "features"), expected)
    described = {"utterance_id": "b", "start": start, "stop": 300 if stop is None else stop}
    assert json.loads(table.schema.metadata[b"softstore"]) == described


@pytest.mark.parametrize("track", ["labels", "features"])
def test_what_there_is_not_is_404(client: httpx.Client, track: str) -> None:
    found = problem(client.get(f"/v1/stores/bare/utterances/b/{track}"))
    assert (found.status, found.code) == (404, "not_found")
    assert f"Store bare has no {track}" in found.detail
    links = client.get("/v1/stores/bare/utterances/b").json()["links"]
    assert track not in links
    assert problem(client.get(f"/v1/stores/demo/utterances/zebra/{track}")).status == 404


@pytest.mark.parametrize("track", ["labels", "features"])
def test_limits_and_versions(client: httpx.Client, monkeypatch: pytest.MonkeyPatch, track: str) -> None:
    url = f"{UTTERANCE}/{track}"
    etag = client.get(url).headers["etag"]
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert problem(client.get(url, params={"stop": 301})).status == 422
    assert problem(client.get(url, params={"temperature": 2})).status == 422
    monkeypatch.setattr(spans, "JSON_FRAMES", 9)
    found = problem(client.get(url, headers={"Accept": JSON}))
    assert (found.code, found.limit) == ("limit_exceeded", 9)


def test_everything_about_an_utterance_is_linked(client: httpx.Client) -> None:
    links = client.get(UTTERANCE).json()["links"]
    assert set(links) == {"self", "posteriors", "statistics", "divergence", "labels", "features", "store"}
    for name, href in links.items():
        params = {"other": "demo"} if name == "divergence" else {}
        assert client.get(href, params=params).status_code == 200
