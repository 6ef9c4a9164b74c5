"""Posteriors over HTTP are those of the reader, in every format."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from api import decoding, spans
from api.formats import ARROW, JSON, NPY
from api.models import Posteriors
from api.problems import Problem
from softstore import Corpus, Store
from softstore.codecs import Codec, Fidelity, FittedToSample, Float16, UInt8
from tests.integration.test_api_metrics import counted
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


def arrow(response: httpx.Response) -> tuple[pa.Table, dict[str, Any]]:
    """The rows, and what the schema says of them."""
    assert (response.status_code, response.headers["content-type"]) == (200, ARROW), response.text
    assert int(response.headers["content-length"]) == len(response.content)
    table = pa.ipc.open_stream(response.content).read_all()
    return table, json.loads(table.schema.metadata[b"softstore"])


def matrix(table: pa.Table, column: str) -> NDArray[Any]:
    found = table[column].combine_chunks()
    numbers: NDArray[Any] = found.flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(len(table), found.type.list_size)


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
        assert (response.headers["content-type"], response.headers["vary"]) == (
            JSON,
            "Accept, Accept-Encoding",
        )
        body = Posteriors.model_validate(response.json())
        assert (body.utterance_id, body.temperature) == (utterance_id, temperature)
        assert (body.start, body.stop, body.classes) == (0, LENGTHS[utterance_id], None)
        binary = npy(client.get(url, params=params, headers={"Accept": NPY}))
        assert binary.dtype == np.float32
        np.testing.assert_array_equal(binary, expected)
        np.testing.assert_array_equal(np.asarray(body.posteriors, np.float32), expected)
        np.testing.assert_allclose(binary.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.array(body.posteriors, float).sum(axis=1), 1, atol=1e-5)


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


def test_top_k_of_no_frames(client: httpx.Client) -> None:
    params = {"top_k": 5, "start": 10, "stop": 10}
    assert client.get(posteriors_of("a"), params=params).json()["posteriors"] == []
    assert npy(client.get(posteriors_of("a"), params=params, headers={"Accept": NPY})).shape == (0, 5)
    assert arrow(client.get(posteriors_of("a"), params=params, headers={"Accept": ARROW}))[0].num_rows == 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("top_k", [None, 3])
def test_every_dtype_as_it_is_or_as_logarithm(
    client: httpx.Client, store: Store, dtype: str, log: bool, top_k: int | None
) -> None:
    params: dict[str, Any] = {"temperature": 2, "dtype": dtype, "log": log, "start": 3, "stop": 77}
    softened = store["b"].log_posteriors(2.0, 3, 77) if log else store["b"].posteriors(2.0, 3, 77)
    if top_k is not None:
        params["top_k"] = top_k
        softened = np.take_along_axis(softened, store["b"].top_k(top_k, 2.0, 3, 77).classes, axis=1)
    expected = softened.astype(dtype)
    binary = npy(client.get(posteriors_of("b"), params=params, headers={"Accept": NPY}))
    found = binary if top_k is None else binary["posterior"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-3 if dtype == "float16" else 1e-6)
    table, described = arrow(client.get(posteriors_of("b"), params=params, headers={"Accept": ARROW}))
    np.testing.assert_array_equal(matrix(table, "posteriors"), found)
    assert described["log"] is log
    body = Posteriors.model_validate(client.get(posteriors_of("b"), params=params).json())
    np.testing.assert_array_equal(np.asarray(body.posteriors, dtype), found)


def test_a_temperature_beyond_float16_is_infinitely_unlikely(client: httpx.Client) -> None:
    params: dict[str, Any] = {"temperature": 0.01, "dtype": "float16", "log": True}
    logs = npy(client.get(posteriors_of("b"), params=params, headers={"Accept": NPY}))
    assert not np.isnan(logs).any()
    assert (logs.max(axis=1) <= 0).all()
    assert (logs.max(axis=1) > -np.inf).all()


def test_chosen_classes(client: httpx.Client, store: Store) -> None:
    params: dict[str, Any] = {"classes": "7,3,7", "temperature": 4}
    expected = store["b"].posteriors(4.0)[:, [7, 3, 7]]
    body = Posteriors.model_validate(client.get(posteriors_of("b"), params=params).json())
    assert body.classes == [7, 3, 7]
    np.testing.assert_array_equal(np.asarray(body.posteriors, np.float32), expected)
    binary = npy(client.get(posteriors_of("b"), params=params, headers={"Accept": NPY}))
    np.testing.assert_array_equal(binary, expected)
    table, described = arrow(client.get(posteriors_of("b"), params=params, headers={"Accept": ARROW}))
    assert described["classes"] == [7, 3, 7]
    np.testing.assert_array_equal(matrix(table, "posteriors"), expected)


def test_more_classes_than_can_be_chosen(client: httpx.Client) -> None:
    found = problem(client.get(posteriors_of("b"), params={"classes": ",".join(["1"] * 1001)}))
    assert (found.code, found.limit) == ("limit_exceeded", 1000)


def test_arrow_says_what_it_is(client: httpx.Client, store: Store) -> None:
    params, name = {"temperature": 2, "start": 5}, "e/with slash"
    table, described = arrow(client.get(posteriors_of(name), params=params, headers={"Accept": ARROW}))
    np.testing.assert_array_equal(matrix(table, "posteriors"), store[name].posteriors(2.0, 5))
    span = {"utterance_id": name, "start": 5, "stop": 65}
    assert described == {**span, "temperature": 2.0, "log": False, "classes": None}


@pytest.mark.parametrize("accept", [NPY, ARROW])
def test_answers_in_many_pieces_are_whole(
    client: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    monkeypatch.setattr(decoding, "PIECE_NUMBERS", 7 * CLASSES)
    answer = client.get(posteriors_of("b"), params={"start": 2, "stop": 299}, headers={"Accept": accept})
    found = npy(answer) if accept == NPY else matrix(arrow(answer)[0], "posteriors")
    np.testing.assert_array_equal(found, store["b"].posteriors(1.0, 2, 299))


@pytest.mark.parametrize(
    "codec", [Float16(), UInt8(), Fidelity(max_mean_kl=0.02)], ids=["float16", "uint8", "transform"]
)
def test_every_codec(corpus: Corpus, tmp_path: Path, codec: Codec | FittedToSample) -> None:
    store = make_store(tmp_path / "store", corpus, codec)
    with serving({"demo": store.url}) as client:
        for start in (0, 3, 130):
            params = {"temperature": 3, "start": start, "stop": 255}
            answer = client.get(posteriors_of("b"), params=params, headers={"Accept": NPY})
            np.testing.assert_allclose(npy(answer), store["b"].posteriors(3.0, start, 255), rtol=1e-5)
            np.testing.assert_allclose(npy(answer).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("accept", [JSON, NPY, ARROW])
def test_what_a_client_has_is_not_sent_again(client: httpx.Client, accept: str) -> None:
    answer = client.get(posteriors_of("a"), headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert "immutable" in answer.headers["cache-control"]
    named = {"Accept": accept, "If-None-Match": answer.headers["etag"]}
    assert client.get(posteriors_of("a"), headers=named).status_code == 304
    for other in ({"temperature": 2}, {"log": True}, {"dtype": "float64"}, {"top_k": 2}, {"classes": "1"}):
        assert client.get(posteriors_of("a"), headers=named, params=other).status_code == 200


def test_decoded_frames_are_counted(client: httpx.Client) -> None:
    before = counted(client, "softstore_decoded_frames_total", store="demo")
    client.get(posteriors_of("b"), params={"start": 10, "stop": 30}, headers={"Accept": NPY})
    assert counted(client, "softstore_decoded_frames_total", store="demo") == before + 20


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
        ({"classes": ""}, "classes"),
        ({"classes": "1,x"}, "classes"),
        ({"classes": f"1,{CLASSES}"}, "classes"),
        ({"classes": "1", "top_k": "2"}, "top_k"),
        ({"dtype": "int8"}, "dtype"),
        ({"log": "maybe"}, "log"),
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
    monkeypatch.setattr(spans, "JSON_FRAMES", 99)
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
