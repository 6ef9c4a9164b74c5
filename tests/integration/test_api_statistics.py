"""Statistics of frames, and the divergence of two stores, over HTTP."""

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
import torch
from numpy.typing import NDArray

from api.formats import ARROW, NPY
from api.models import Divergence, Statistics
from softstore import Corpus, Store
from softstore.codecs import Float32
from softstore.softening import entropy, kl_divergence
from tests.integration.test_api_posteriors import problem
from tests.samples import make_corpus, make_store
from tests.service import serving

UTTERANCE = "/v1/stores/demo/utterances/b"
FIELDS = ("entropy", "top_class", "confidence", "margin")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, store: Store) -> dict[str, Store]:
    root = tmp_path_factory.mktemp("others")
    shorter = make_corpus(root / "corpus", {"b": 299})
    return {
        "demo": store,
        "exact": make_store(root / "exact", corpus, Float32()),
        "shorter": make_store(root / "shorter", shorter),
    }


@pytest.fixture(scope="module")
def client(stores: dict[str, Store]) -> Iterator[httpx.Client]:
    with serving({name: store.url for name, store in stores.items()}) as client:
        yield client


def expected(store: Store, temperature: float, start: int, stop: int) -> dict[str, NDArray[Any]]:
    log_p = torch.from_numpy(store["b"].log_posteriors(temperature, start, stop))
    top = store["b"].top_k(2, temperature, start, stop)
    return {
        "entropy": entropy(log_p).clamp_min(0).numpy(),
        "top_class": top.classes[:, 0],
        "confidence": top.posteriors[:, 0],
        "margin": top.posteriors[:, 0] - top.posteriors[:, 1],
    }


@pytest.mark.parametrize(("start", "stop"), [(0, 300), (63, 65), (40, 40)])
@pytest.mark.parametrize("temperature", [1.0, 4.0, 0.01])
def test_statistics_in_every_format(
    client: httpx.Client, stores: dict[str, Store], temperature: float, start: int, stop: int
) -> None:
    params: dict[str, Any] = {"temperature": temperature, "start": start, "stop": stop}
    wanted = expected(stores["demo"], temperature, start, stop)
    answer = client.get(f"{UTTERANCE}/statistics", params=params)
    body = Statistics.model_validate(answer.json()).model_dump()
    rows = np.load(
        io.BytesIO(client.get(f"{UTTERANCE}/statistics", params=params, headers={"Accept": NPY}).content)
    )
    arrow = client.get(f"{UTTERANCE}/statistics", params=params, headers={"Accept": ARROW})
    table = pa.ipc.open_stream(arrow.content).read_all()
    assert rows.shape == (stop - start,)
    assert rows.dtype.names == tuple(table.column_names) == FIELDS
    for name, values in wanted.items():
        np.testing.assert_allclose(rows[name], values, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(table[name].to_numpy(), rows[name])
        np.testing.assert_array_equal(np.asarray(body[name], rows[name].dtype), rows[name])
    described = {"utterance_id": "b", **params}
    assert json.loads(table.schema.metadata[b"softstore"]) == described
    assert described.items() <= body.items()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergence_in_every_format(
    client: httpx.Client, stores: dict[str, Store], temperature: float
) -> None:
    params: dict[str, Any] = {"other": "demo", "temperature": temperature, "start": 3, "stop": 290}
    p, q = (
        torch.from_numpy(stores[name]["b"].log_posteriors(temperature, 3, 290)) for name in ("exact", "demo")
    )
    url = "/v1/stores/exact/utterances/b/divergence"
    body = Divergence.model_validate(client.get(url, params=params).json())
    rows = np.load(io.BytesIO(client.get(url, params=params, headers={"Accept": NPY}).content))
    table = pa.ipc.open_stream(client.get(url, params=params, headers={"Accept": ARROW}).content).read_all()
    np.testing.assert_allclose(rows["kl"], kl_divergence(p, q), rtol=1e-4, atol=1e-6)
    assert rows["kl"].max() > 1e-3
    np.testing.assert_array_equal(np.asarray(body.kl, np.float32), rows["kl"])
    np.testing.assert_array_equal(table["kl"].to_numpy(), rows["kl"])
    assert (body.other, body.start, body.stop) == ("demo", 3, 290)


def test_a_store_does_not_diverge_from_itself(client: httpx.Client) -> None:
    assert client.get(f"{UTTERANCE}/divergence", params={"other": "demo"}).json()["kl"] == [0.0] * 300


@pytest.mark.parametrize(
    ("utterance_id", "params", "status", "named"),
    [
        ("b", {"other": "shorter"}, 409, "demo has 300 frames of 'b', shorter has 299"),
        ("a", {"other": "shorter"}, 404, "has no utterance 'a'"),
        ("b", {"other": "nobody"}, 404, "no store 'nobody'"),
        ("b", {}, 422, "other"),
        ("b", {"other": "exact", "temperature": "0"}, 422, "temperature"),
        ("b", {"other": "exact", "stop": "301"}, 422, "span"),
    ],
)
def test_what_cannot_be_compared(
    client: httpx.Client, utterance_id: str, params: dict[str, str], status: int, named: str
) -> None:
    found = problem(client.get(f"/v1/stores/demo/utterances/{utterance_id}/divergence", params=params))
    assert found.status == status
    assert named in found.detail


def test_what_is_damaged_says_so(own_store: Store) -> None:
    path = Path(own_store.url) / "targets/classes/c/0/0"
    path.write_bytes(b"\0" * path.stat().st_size)
    hurt = own_store.manifest.where(shard=0).to_pylist()[0]["utterance_id"]
    with serving({"demo": own_store.url}) as client:
        found = problem(client.get(f"/v1/stores/demo/utterances/{hurt}/statistics"))
    assert (found.status, found.code) == (500, "corrupt_data")


def test_versions(client: httpx.Client) -> None:
    for url in (f"{UTTERANCE}/statistics?start=1", f"{UTTERANCE}/divergence?other=exact"):
        etag = client.get(url).headers["etag"]
        assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
        assert client.get(f"{url}&stop=2", headers={"If-None-Match": etag}).status_code == 200
    one, two = (
        client.get(f"{UTTERANCE}/divergence", params={"other": name}).headers["etag"]
        for name in ("exact", "demo")
    )
    assert one != two
