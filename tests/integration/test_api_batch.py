"""Batches over HTTP hold what the reader gives, item by item, and never end in silence before their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from api import batches
from api.formats import ARROW
from api.limits import BATCH_FRAMES, BATCH_ITEMS
from softstore import Corpus, Store
from softstore.batches import BatchItem, read_batch
from softstore.codecs import Codec, Fidelity, FittedToSample, Float16, TopK, UInt8
from softstore.errors import CorruptDataError, StorageError
from softstore.storage import Storage
from tests.samples import CLASSES, LENGTHS, make_store
from tests.service import serving

BATCH = "/v1/stores/demo/batch"


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with serving({"demo": store.url}) as client:
        yield client


def ask(client: httpx.Client, items: list[dict[str, Any]], **asked: Any) -> list[BatchItem]:
    response = client.post(BATCH, json={"items": items, **asked})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/vnd.apache.arrow.stream"
    return list(read_batch(response.content))


ITEMS: list[dict[str, Any]] = [
    {"utterance_id": "b"},
    {"utterance_id": "e/with slash", "start": 3, "stop": 33},
    {"utterance_id": "ü nicode"},
    {"utterance_id": "b", "start": 299, "stop": 300},
    {"utterance_id": "a", "start": 7, "stop": 7},
    {"utterance_id": "g"},
]


def spans(store: Store) -> Iterator[tuple[str, int, int]]:
    for item in ITEMS:
        utterance_id = str(item["utterance_id"])
        yield utterance_id, int(item.get("start", 0)), int(item.get("stop", LENGTHS[utterance_id]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_posteriors(client: httpx.Client, store: Store, temperature: float, dtype: str) -> None:
    found = ask(client, ITEMS, temperature=temperature, dtype=dtype)
    for item, (utterance_id, start, stop) in zip(found, spans(store), strict=True):
        assert (item.utterance_id, item.start, item.stop, item.error) == (utterance_id, start, stop, None)
        expected = store[utterance_id].posteriors(temperature, start, stop).astype(dtype)
        np.testing.assert_array_equal(item["posteriors"], expected, strict=True)
    assert found[0].info.temperature == temperature


def test_top_classes_labels_and_features(client: httpx.Client, store: Store) -> None:
    found = ask(client, ITEMS, temperature=2.0, top_k=5, tracks=["labels", "features"])
    for item, (utterance_id, start, stop) in zip(found, spans(store), strict=True):
        utterance = store[utterance_id]
        top = utterance.top_k(5, 2.0, start, stop)
        np.testing.assert_array_equal(item["classes"], top.classes)
        np.testing.assert_array_equal(item["posteriors"], top.posteriors)
        np.testing.assert_array_equal(item["labels"], utterance.read("labels", start, stop), strict=True)
        np.testing.assert_array_equal(item["features"], utterance.read("features", start, stop), strict=True)


@pytest.mark.parametrize(
    "codec",
    [Fidelity(max_mean_kl=0.01, max_kl=0.05), TopK(k=16), UInt8(), Float16()],
    ids=lambda codec: type(codec).__name__,
)
def test_encoded(tmp_path: Path, corpus: Corpus, codec: Codec | FittedToSample) -> None:
    store = make_store(tmp_path, corpus, codec)
    with serving({"demo": store.url}) as client:
        # Twice: as it is made, and as it was kept.
        for _ in range(2):
            found = ask(client, ITEMS, encoding="encoded", temperature=2.0, tracks=["labels"])
            for item, (utterance_id, start, stop) in zip(found, spans(store), strict=True):
                expected = store[utterance_id].encoded(start, stop)
                encoded = item.encoded()
                assert encoded.keys() == expected.keys()
                for name, array in expected.items():
                    np.testing.assert_array_equal(encoded[name].numpy(), array.numpy(), strict=True)
                log_posteriors = store[utterance_id].log_posteriors(2.0, start, stop)
                np.testing.assert_array_equal(item.log_posteriors(store.codec).numpy(), log_posteriors)
                np.testing.assert_array_equal(item["labels"], store[utterance_id].labels(start, stop))
            assert found[0].info.codec == store.attributes.codec
            assert found[0].info.class_count == CLASSES


def test_any_arrow_reader_reads_it(client: httpx.Client, store: Store) -> None:
    response = client.post(BATCH, json={"items": ITEMS, "temperature": 2.0})
    table = pa.ipc.open_stream(response.content).read_all()
    assert table["utterance_id"].to_pylist() == [item["utterance_id"] for item in ITEMS]
    rows = np.array(table["posteriors"][1].as_py(), np.float32)
    np.testing.assert_array_equal(rows, store["e/with slash"].posteriors(2.0, 3, 33))


def test_what_is_kept_is_the_same(client: httpx.Client) -> None:
    asked = {"items": ITEMS, "encoding": "encoded"}
    first, second = client.post(BATCH, json=asked), client.post(BATCH, json=asked)
    assert first.content == second.content
    for text in ('"encoded"', '"posteriors"'):
        others = client.post(BATCH, content=f'{{"items": [{{"utterance_id": "b"}}], "encoding": {text}}}')
        (item,) = read_batch(others.content)
        assert ("posteriors" in item.arrays) == (text == '"posteriors"')


B = {"utterance_id": "b"}


@pytest.mark.parametrize(
    ("asked", "status", "code", "said"),
    [
        ({"items": [B, {"utterance_id": "zz"}]}, 404, "not_found", "'zz'"),
        ({"items": [B | {"stop": 301}]}, 422, "invalid_input", "b has frames 0 to 300"),
        ({"items": [B | {"start": 5, "stop": 4}]}, 422, "invalid_input", "from 5 to 4"),
        ({"items": [B | {"start": -1}]}, 422, "invalid_input", "items.0.start"),
        ({"items": []}, 422, "invalid_input", "items"),
        ({"items": [B], "temperature": 0}, 422, "invalid_input", "temperature"),
        ({"items": [B], "top_k": CLASSES + 1}, 422, "invalid_input", f"{CLASSES} classes"),
        ({"items": [B], "top_k": 2**31}, 422, "invalid_input", f"{CLASSES} classes"),
        ({"items": [B], "top_k": 2**200}, 422, "invalid_input", f"{CLASSES} classes"),
        ({"items": [B], "encoding": "encoded", "top_k": 2}, 422, "invalid_input", "top_k"),
        ({"items": [B], "encodign": "encoded"}, 422, "invalid_input", "encodign"),
        ({"items": [B] * (BATCH_ITEMS + 1)}, 422, "limit_exceeded", f"{BATCH_ITEMS} items"),
        ({"items": [{"utterance_id": "g"}] * 400}, 422, "limit_exceeded", f"{BATCH_FRAMES} frames"),
    ],
)
def test_refusals(client: httpx.Client, asked: dict[str, Any], status: int, code: str, said: str) -> None:
    response = client.post(BATCH, json=asked)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert said in problem["detail"]
    limits = {"limit_exceeded": (BATCH_ITEMS, BATCH_FRAMES), "invalid_input": (None,), "not_found": (None,)}
    assert problem.get("limit") in limits[code]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"items": 1}', b"NaN"])
def test_a_body_that_is_none(client: httpx.Client, body: bytes) -> None:
    response = client.post(BATCH, content=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")


def test_other_ways_to_ask(client: httpx.Client) -> None:
    assert client.get(BATCH).status_code == 405
    assert client.post(BATCH.replace("demo", "none"), json={"items": ITEMS}).status_code == 404
    refused = client.post(BATCH, json={"items": ITEMS}, headers={"Accept": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("encoding", ["encoded", "posteriors"])
def test_damage_is_one_items_error(own_store: Store, encoding: str) -> None:
    path = Path(own_store.url) / "targets/log_posteriors/c/0/0"
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    broken = next(row for row in own_store.manifest.table.to_pylist() if row["first_frame"] == 0)[
        "utterance_id"
    ]
    items = [{"utterance_id": utterance_id} for utterance_id in LENGTHS]
    column = {"encoded": "targets/log_posteriors", "posteriors": "posteriors"}[encoding]
    with serving({"demo": own_store.url}) as client:
        for _ in range(2):
            found = ask(client, items, encoding=encoding)
            assert [item.utterance_id for item in found] == list(LENGTHS)
            for item in found:
                if item.utterance_id == broken:
                    assert own_store.url not in (item.error or own_store.url)
                    with pytest.raises(CorruptDataError, match=f"{broken}: .*log_posteriors/c/0/0"):
                        _ = item[column]
                    with pytest.raises(CorruptDataError):
                        item.encoded()
                else:
                    # Whatever else the damaged chunk holds is read with it.
                    assert item.error is None or "log_posteriors/c/0/0" in item.error
            assert sum(item.error is None for item in found) >= 4


def test_a_stream_that_fails_breaks_off(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """The storage goes away after some items: the client must not take the rest for nothing."""
    read = Storage.get_range
    left = 20

    def failing(self: Storage, path: str, start: int, length: int) -> memoryview:
        nonlocal left
        left -= 1
        if left < 0:
            raise StorageError("gone")
        return read(self, path, start, length)

    monkeypatch.setattr(Storage, "get_range", failing)
    monkeypatch.setattr(batches, "_GROUP_BYTES", 1)
    asked = {"items": [{"utterance_id": "g", "start": start} for start in range(100)], "temperature": 3.25}
    received = bytearray()
    with client.stream("POST", BATCH, json=asked) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(byte for piece in response.iter_raw() for byte in piece)
    with pytest.raises(CorruptDataError, match=r"of 100 items|no whole batch"):
        list(read_batch(bytes(received)))
    # Before the first byte it is a problem like any other.
    refused = client.post(BATCH, json=asked | {"temperature": 3.5})
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert refused.headers["retry-after"] == "5"


@pytest.mark.parametrize("keep", [0, 10, 2000, -8, -9, -4000])
def test_a_batch_that_was_cut_is_noticed(client: httpx.Client, keep: int) -> None:
    whole = client.post(BATCH, json={"items": ITEMS, "encoding": "encoded"}).content
    cut = whole[:keep] if keep != -8 else whole[:-8]
    if keep == -8:  # nothing but the end of the stream is missing: all items are there
        assert len(list(read_batch(cut))) == len(ITEMS)
        return
    with pytest.raises(CorruptDataError):
        list(read_batch(cut))


def test_items_come_as_they_are_made(client: httpx.Client) -> None:
    asked = {"items": [{"utterance_id": "g"}] * 50, "temperature": 1.5}
    with client.stream("POST", BATCH, json=asked) as response:
        items = read_batch(response.iter_raw())
        assert next(items).utterance_id == "g"
        assert response.num_bytes_downloaded < 50 * 512 * CLASSES * 4
        assert len(list(items)) == 49


def test_the_whole_of_it_is_described(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]["/v1/stores/{store}/batch"]["post"]
    assert described["operationId"] == "post_batch"
    assert ARROW in described["responses"]["200"]["content"]
    assert {"404", "406", "413", "422", "429", "500", "503"} <= described["responses"].keys()
    assert described["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/BatchRequest")
