"""Posteriors over HTTP are those of the reader, in every format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from api.formats import JSON, NPY
from api.models import Posteriors
from api.problems import Problem
from api.routers import utterances
from softstore import Store
from tests.samples import CLASSES, LENGTHS, make_corpus, make_store
from tests.service import serving

IDS = ["x", "x/posteriors", "posteriors", "a//b", "/lead", "100% a?b#c&d=+", "ü/日本 語", "..", "e%2Ff", " "]


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with serving({"demo": store.url}) as client:
        yield client


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Store]]:
    root = tmp_path_factory.mktemp("odd")
    corpus = make_corpus(root / "corpus", {name: 3 + number for number, name in enumerate(IDS)})
    store = make_store(root / "store", corpus)
    with serving({"odd": store.url}) as client:
        yield client, store


def posteriors_of(utterance_id: str) -> str:
    return f"/v1/stores/demo/utterances/{quote(utterance_id, safe='')}/posteriors"


def npy(response: httpx.Response) -> NDArray[Any]:
    assert (response.status_code, response.headers["content-type"]) == (200, NPY), response.text
    return np.asarray(np.load(io.BytesIO(response.content), allow_pickle=False))


def problem(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(response.json())
    assert found.status == response.status_code
    assert "Traceback" not in response.text
    return found


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0, 0.7])
def test_json_npy_and_the_reader_agree(client: httpx.Client, store: Store, temperature: float) -> None:
    for utterance_id in LENGTHS:
        expected = store[utterance_id].posteriors(temperature)
        url, params = posteriors_of(utterance_id), {"temperature": temperature}
        response = client.get(url, params=params)
        assert (response.headers["content-type"], response.headers["vary"]) == (JSON, "Accept")
        body = Posteriors.model_validate(response.json())
        assert (body.utterance_id, body.temperature) == (utterance_id, temperature)
        assert (body.start, body.stop, body.classes) == (0, LENGTHS[utterance_id], None)
        binary = npy(client.get(url, params=params, headers={"Accept": NPY}))
        assert binary.dtype == np.float32
        np.testing.assert_array_equal(binary, expected)
        np.testing.assert_array_equal(np.asarray(body.posteriors, np.float32), expected)
        np.testing.assert_allclose(binary.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.sum(body.posteriors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (63, 65), (250, 300), (300, 300), (40, None)])
def test_spans(client: httpx.Client, store: Store, start: int, stop: int | None) -> None:
    params = {"start": start} | ({} if stop is None else {"stop": stop})
    expected = store["b"].posteriors(1.0, start, stop)
    body = client.get(posteriors_of("b"), params=params).json()
    assert (body["start"], body["stop"]) == (start, 300 if stop is None else stop)
    np.testing.assert_array_equal(np.asarray(body["posteriors"], np.float32).reshape(-1, CLASSES), expected)
    np.testing.assert_array_equal(
        npy(client.get(posteriors_of("b"), params=params, headers={"Accept": NPY})), expected
    )


def test_top_k(client: httpx.Client, store: Store) -> None:
    params = {"top_k": 5, "temperature": 2, "start": 10, "stop": 90}
    expected = store["a"].top_k(5, 2.0, 10, 90)
    body = client.get(posteriors_of("a"), params=params).json()
    np.testing.assert_array_equal(body["classes"], expected.classes)
    np.testing.assert_array_equal(np.asarray(body["posteriors"], np.float32), expected.posteriors)
    binary = npy(client.get(posteriors_of("a"), params=params, headers={"Accept": NPY}))
    assert binary.shape == (80, 5)
    np.testing.assert_array_equal(binary["class"], expected.classes)
    np.testing.assert_array_equal(binary["posterior"], expected.posteriors)


@pytest.mark.parametrize("utterance_id", IDS)
def test_an_id_may_hold_anything(oddly_named: tuple[httpx.Client, Store], utterance_id: str) -> None:
    client, store = oddly_named
    href = f"/v1/stores/odd/utterances/{quote(utterance_id, safe='')}"
    if utterance_id == "..":
        href = "/v1/stores/odd/utterances/%2E%2E"
    body = client.get(href).json()
    assert body["utterance"]["utterance_id"] == utterance_id
    answer = client.get(href + "/posteriors", headers={"Accept": NPY})
    np.testing.assert_array_equal(npy(answer), store[utterance_id].posteriors())
    if utterance_id != "..":
        assert body["links"]["self"] == href
        assert client.get(body["links"]["posteriors"]).json()["utterance_id"] == utterance_id


def test_slashes_of_an_id_may_stay_as_they_are(client: httpx.Client) -> None:
    assert client.get("/v1/stores/demo/utterances/e/with slash").json()["utterance"]["num_frames"] == 65
    assert client.get("/v1/stores/demo/utterances/e/with slash/posteriors").json()["stop"] == 65


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"temperature": "0"}, "temperature"),
        ({"temperature": "-1"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": "inf"}, "temperature"),
        ({"temperature": "-Infinity"}, "temperature"),
        ({"temperature": "1e-300"}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"start": "-1"}, "start"),
        ({"start": "301"}, "span"),
        ({"start": "20", "stop": "10"}, "span"),
        ({"stop": "301"}, "span"),
        ({"stop": "9" * 40}, "span"),
        ({"stop": "1.5"}, "stop"),
        ({"top_k": "0"}, "top_k"),
        ({"top_k": str(CLASSES + 1)}, "top_k"),
        ({"topk": "3"}, "topk"),
    ],
)
def test_what_makes_no_sense_is_422(client: httpx.Client, params: dict[str, str], named: str) -> None:
    found = problem(client.get(posteriors_of("b"), params=params))
    assert (found.status, found.code) == (422, "invalid_input")
    assert named in found.detail


def test_what_is_not_there_is_404(client: httpx.Client, store: Store) -> None:
    for url in (posteriors_of("zebra"), "/v1/stores/demo/utterances/zebra", "/v1/stores/demo/utterances/"):
        found = problem(client.get(url))
        assert (found.status, found.code) == (404, "not_found")
        assert "store demo has no utterance" in found.detail
        assert store.url not in found.detail
    assert "no store 'nothing'" in problem(client.get("/v1/stores/nothing/utterances/a")).detail
    bad_encoding = problem(client.get("/v1/stores/demo/utterances/%FF%FE"))
    assert (bad_encoding.status, bad_encoding.code) == (422, "invalid_input")


def test_another_format_is_406(client: httpx.Client) -> None:
    found = problem(client.get(posteriors_of("a"), headers={"Accept": "text/csv"}))
    assert (found.status, found.code) == (406, "not_acceptable")
    assert JSON in found.detail
    assert NPY in found.detail


def test_more_frames_than_an_answer_may_have(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(utterances._FRAME_LIMITS, JSON, 99)
    found = problem(client.get(posteriors_of("b")))
    assert (found.status, found.code, found.limit) == (422, "limit_exceeded", 99)
    assert client.get(posteriors_of("b"), params={"start": 201}).status_code == 200
    assert client.get(posteriors_of("b"), headers={"Accept": NPY}).status_code == 200


@pytest.mark.parametrize("damage", ["flip", "delete"])
def test_damage_is_a_problem_of_its_utterances_only(own_store: Store, damage: str) -> None:
    name = "targets/log_posteriors/c/1/0"
    path = Path(own_store.url) / name
    data = bytearray(path.read_bytes())
    data[5] ^= 0x10
    path.write_bytes(data)
    if damage == "delete":
        path.unlink()
    shard = own_store.manifest.where(shard=1).to_pylist()
    # The first chunk is damaged: it holds the utterance that begins there, and no other of other shards.
    hurt = shard[0]["utterance_id"]
    with serving({"demo": own_store.url}) as client:
        found = problem(client.get(posteriors_of(hurt)))
        assert (found.status, found.code) == (500, "corrupt_data")
        assert name in found.detail
        assert own_store.url not in found.detail
        for utterance_id in set(LENGTHS) - {row["utterance_id"] for row in shard}:
            assert client.get(posteriors_of(utterance_id)).status_code == 200
