"""Several stores as one over HTTP are what `softstore.Ensemble` makes of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from api.formats import ARROW, NPY
from api.limits import ENSEMBLE_STORES
from softstore import Corpus, Ensemble, Store
from softstore.batches import read_batch
from softstore.codecs import Float16
from softstore.errors import CorruptDataError
from tests.samples import LENGTHS, make_corpus, make_store
from tests.service import serving

POSTERIORS = "/v1/ensembles/posteriors"
BATCH = "/v1/ensembles/batch"
STORES = [{"store": "demo", "weight": 1}, {"store": "dense", "weight": 3}]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Store:
    return make_store(tmp_path_factory.mktemp("dense"), corpus, Float16())


@pytest.fixture(scope="module")
def client(store: Store, dense: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("other")
    other = make_store(root / "store", make_corpus(root / "corpus", {"b": 300, "zz": 10}, seed=1))
    with serving({"demo": store.url, "dense": dense.url, "other": other.url}) as client:
        yield client


@pytest.fixture(params=["arithmetic", "geometric"])
def ensemble(request: pytest.FixtureRequest, store: Store, dense: Store) -> Ensemble:
    return Ensemble([store, dense], [1, 3], request.param)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_posteriors_in_every_format(client: httpx.Client, ensemble: Ensemble, temperature: float) -> None:
    asked = {
        "stores": STORES,
        "mean": ensemble.mean,
        "utterance_id": "e/with slash",
        "temperature": temperature,
        "start": 3,
        "stop": 33,
    }
    expected = ensemble["e/with slash"].posteriors(temperature, 3, 33)
    answers = {kind: client.post(POSTERIORS, json=asked, headers={"Accept": kind}) for kind in (NPY, ARROW)}
    npy = np.load(io.BytesIO(answers[NPY].content), allow_pickle=False)
    table = pa.ipc.open_stream(answers[ARROW].content).read_all()
    arrow = np.array(table["posteriors"].to_pylist(), np.float32)
    answer = client.post(POSTERIORS, json=asked).json()
    for found in (npy, arrow, np.array(answer["posteriors"], np.float32)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert {**asked, **answer} == answer
    assert json.loads(table.schema.metadata[b"softstore"])["stores"] == STORES


def test_what_a_single_store_is_asked_for(client: httpx.Client, ensemble: Ensemble) -> None:
    asked: dict[str, Any] = {"stores": STORES, "mean": ensemble.mean, "utterance_id": "g", "temperature": 2.0}
    utterance = ensemble["g"]
    top = client.post(POSTERIORS, json={**asked, "top_k": 4}).json()
    expected = utterance.top_k(4, 2.0)
    np.testing.assert_array_equal(top["classes"], expected.classes)
    np.testing.assert_allclose(top["posteriors"], expected.posteriors, rtol=1e-5)
    some = client.post(POSTERIORS, json={**asked, "classes": "17,4", "log": True}).json()
    np.testing.assert_allclose(some["posteriors"], utterance.log_posteriors(2.0)[:, [17, 4]], rtol=1e-4)


def test_batches(client: httpx.Client, ensemble: Ensemble) -> None:
    items = [{"utterance_id": utterance_id} for utterance_id in LENGTHS]
    asked = {
        "stores": STORES,
        "mean": ensemble.mean,
        "items": items,
        "temperature": 2.0,
        "tracks": ["labels"],
    }
    for _ in range(2):
        found = list(read_batch(client.post(BATCH, json=asked).content))
        assert [item.utterance_id for item in found] == list(LENGTHS)
        for item in found:
            utterance = ensemble[item.utterance_id]
            np.testing.assert_array_equal(item["posteriors"], utterance.posteriors(2.0))
            np.testing.assert_array_equal(item["labels"], utterance.labels())


def test_weights_and_means_are_kept_apart(client: httpx.Client) -> None:
    asked = {"items": [{"utterance_id": "b"}], "stores": STORES}
    answers = {
        client.post(BATCH, json={**asked, **change}).content
        for change in ({}, {"mean": "geometric"}, {"stores": STORES[:1]}, {"stores": STORES[::-1]}, {})
    }
    # The order of the stores is not told by the first bits, but may be by the last.
    assert 3 <= len(answers) <= 4
    with_unit = [{**member, "weight": member["weight"] * 2} for member in STORES]  # type: ignore[operator]
    doubled = client.post(BATCH, json={**asked, "stores": with_unit})
    assert doubled.content in answers


@pytest.mark.parametrize("route", [POSTERIORS, BATCH])
@pytest.mark.parametrize(
    ("stores", "utterance_id", "status", "said"),
    [
        ([{"store": "demo"}, {"store": "none"}], "b", 404, "no store 'none'"),
        ([{"store": "demo"}, {"store": "other"}], "zz", 404, "store demo has no utterance 'zz'"),
        (
            [{"store": "demo"}, {"store": "other"}],
            "b",
            409,
            "other features in store other",
        ),
        ([], "b", 422, "stores"),
        ([{"store": "demo", "weight": 0}], "b", 422, "weight"),
        (
            [{"store": "demo", "weight": 1e-320}, {"store": "dense", "weight": 1e10}],
            "b",
            422,
            "as good as none",
        ),
        ([{"store": "demo"}] * (ENSEMBLE_STORES + 1), "b", 422, f"at most {ENSEMBLE_STORES} stores"),
    ],
)
def test_refusals(
    client: httpx.Client, route: str, stores: list[dict[str, Any]], utterance_id: str, status: int, said: str
) -> None:
    item = {"utterance_id": utterance_id}
    response = client.post(
        route, json={"stores": stores, **(item if route == POSTERIORS else {"items": [item]})}
    )
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert said in response.json()["detail"]


def test_damage_in_one_store(own_store: Store, dense: Store) -> None:
    path = Path(own_store.url) / "targets/log_posteriors/c/0/0"
    path.write_bytes(path.read_bytes()[::-1])
    rows = own_store.manifest.table.to_pylist()
    broken = next(row["utterance_id"] for row in rows if row["shard"] == 0)
    whole = next(row["utterance_id"] for row in rows if row["shard"] == 1)
    members = {"stores": [{"store": "dense"}, {"store": "demo"}]}
    with serving({"demo": own_store.url, "dense": dense.url}) as client:
        problem = client.post(POSTERIORS, json={**members, "utterance_id": broken})
        assert (problem.status_code, problem.json()["code"]) == (500, "corrupt_data")
        assert client.post(POSTERIORS, json={**members, "utterance_id": whole}).status_code == 200
        items = [{"utterance_id": broken}, {"utterance_id": whole}]
        first, second = read_batch(client.post(BATCH, json={**members, "items": items}).content)
        with pytest.raises(CorruptDataError):
            _ = first["posteriors"]
        assert second["posteriors"].shape[0] == LENGTHS[whole]
