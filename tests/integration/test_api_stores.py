"""Stores and their utterances, listed; what goes wrong, told the same way everywhere."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI

from api import create_app
from api.models import ClassNames, Provenance, StoreDetail, StoreList, UtteranceDetail, UtterancePage
from api.routers import classes
from softstore import Corpus, Store
from softstore.commands.info import describe
from softstore.errors import InvalidInputError, NotAStoreError, NotFoundError
from softstore.format import Skipped
from softstore.writer import update_attributes
from tests.samples import CLASSES, LENGTHS, make_corpus, make_store
from tests.service import serving

UTTERANCES = "/v1/stores/demo/utterances"


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with serving({"demo": store.url}) as client:
        yield client


def listed(client: httpx.Client, **params: Any) -> list[str]:
    response = client.get(UTTERANCES, params=params)
    assert response.status_code == 200, response.text
    return [row.utterance_id for row in UtterancePage.model_validate(response.json()).utterances]


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_list_of_stores(client: httpx.Client, store: Store) -> None:
    (only,) = StoreList.model_validate(client.get("/v1/stores").json()).stores
    assert (only.name, only.frames, only.utterances) == ("demo", sum(LENGTHS.values()), len(LENGTHS))
    assert (only.class_count, only.codec, only.complete, only.problem) == (CLASSES, "topk", True, None)
    assert client.get(only.links["self"]).status_code == 200


def test_one_store_with_its_certificate(client: httpx.Client, store: Store) -> None:
    detail = StoreDetail.model_validate(client.get("/v1/stores/demo").json())
    assert detail.attributes == store.attributes
    assert dataclasses.asdict(store.certificate()).items() <= detail.certificate.model_dump().items()
    assert detail.certificate.against == "teacher"
    assert [summary.temperature for summary in detail.certificate.kl] == [1, 2, 4, 8]
    assert all(0 < summary.mean <= summary.p999 <= summary.max for summary in detail.certificate.kl)
    for track, size in detail.track_bytes.items():
        root = Path(store.url) / track / "c"
        assert size == sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert set(detail.track_bytes) == set(store.attributes.tracks)
    assert client.get(detail.links["utterances"]).status_code == 200
    assert client.get(detail.links["objects"] + "/zarr.json").status_code == 200


def test_sizes_are_those_of_the_command(client: httpx.Client, store: Store) -> None:
    answer = client.get("/v1/stores/demo").json()
    for name, value in describe(store).items():
        if name not in ("url", "certificate", *type(store.attributes).model_fields):
            assert answer[name] == value
    assert answer["certificate"] == describe(store)["certificate"]
    assert client.get("/v1/stores/demo/certificate").json() == answer["certificate"]


def test_where_a_store_comes_from(own_store: Store) -> None:
    skipped = [Skipped(utterance_id="x", reason="it is silent")]
    update_attributes(own_store.frames.storage, {"skipped": skipped})
    with serving({"demo": own_store.url}) as client:
        found = Provenance.model_validate(client.get("/v1/stores/demo/provenance").json())
    attributes = own_store.attributes
    assert found.runs == attributes.runs
    assert (found.teacher, found.corpus) == (attributes.teacher, attributes.corpus)
    assert found.runs[0].features == found.features_fingerprint
    assert found.skipped == skipped


def test_a_store_in_links(client: httpx.Client) -> None:
    links = client.get("/v1/stores/demo").json()["links"]
    assert set(links) == {"self", "certificate", "provenance", "classes", "utterances", "objects"}
    for name in set(links) - {"objects"}:
        answer = client.get(links[name])
        again = client.get(links[name], headers={"If-None-Match": answer.headers["etag"]})
        assert (answer.status_code, again.status_code, again.content) == (200, 304, b"")


def test_classes_are_called_by_their_names(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "PAGE_CLASSES", 50)
    url = "/v1/stores/demo/classes"
    with serving({"demo": own_store.url}) as client:
        nameless = ClassNames.model_validate(client.get(url).json())
        assert (nameless.classes, nameless.class_count) == (None, CLASSES)
    names = [f"AH[{number}]" for number in range(CLASSES)]
    update_attributes(own_store.frames.storage, {"class_names": names})
    with serving({"demo": own_store.url}) as client:
        found: list[str] = []
        following: str | None = f"{url}?start=10"
        while following:
            answer = ClassNames.model_validate(client.get(following).json())
            assert answer.start == 10 + len(found)
            found += answer.classes or []
            following = answer.links.get("next")
        assert found == names[10:]
        assert client.get(url, params={"stop": CLASSES + 1}).status_code == 422


def test_one_utterance(client: httpx.Client, store: Store) -> None:
    detail = UtteranceDetail.model_validate(client.get(f"{UTTERANCES}/h").json())
    assert detail.utterance.model_dump() == dict(store["h"].row)
    assert client.get(detail.links["posteriors"]).json()["stop"] == 130


def test_utterances_by_any_column(client: httpx.Client, store: Store) -> None:
    everything = store.manifest.table["utterance_id"].to_pylist()
    assert listed(client) == everything
    assert listed(client, split="cv") == ["d", "h"]
    assert listed(client, split="train", speaker="speaker-1-train") == ["b", "e/with slash"]
    assert listed(client, snr_db="2") == ["c"]
    assert listed(client, num_frames=512) == ["g"]
    assert listed(client, utterance_id="e/with slash") == ["e/with slash"]
    assert listed(client, split="no such split") == []


@pytest.mark.parametrize("split", [None, "train"])
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_pages_follow_one_another(client: httpx.Client, split: str | None, limit: int) -> None:
    wanted = {"split": split} if split else {}
    expected = listed(client, **wanted)
    found: list[str] = []
    url: str | None = str(httpx.URL(UTTERANCES, params={**wanted, "limit": limit}))
    while url:
        page = UtterancePage.model_validate(client.get(url).json())
        assert page.total == len(expected)
        assert len(page.utterances) <= limit
        assert (page.next_cursor is None) == ("next" not in page.links)
        found += [row.utterance_id for row in page.utterances]
        url = page.links.get("next")
    assert found == expected


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 50_001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "9" * 50}, "cursor"),
        ({"cursor": "AAAAAAAAAAAAAAAAAAA"}, "cursor"),
        ({"q": "x" * 201}, "q"),
        ({"sort": "colour"}, "colour"),
        ({"sort": "--text"}, "text"),
        ({"columns": "text,colour"}, "colour"),
        ({"count": "perhaps"}, "count"),
        ({"colour": "red"}, "colour"),
        ({"self": "x"}, "self"),
        ({"num_frames": "many"}, "num_frames"),
        ({"num_frames": "9" * 40}, "num_frames"),
        ({"snr_db": ["1", "loud"]}, "'loud'"),
        ({"snr_db[lt]": "loud"}, "'loud'"),
        ({"num_frames[gte]": "1.5"}, "num_frames (int32)"),
        ({"num_frames[gt]": ["1", ""]}, "num_frames"),
        ({"num_frames[over]": "1"}, "'over'; there are gt, gte, lt, lte, ne"),
        ({"num_frames[]": "1"}, "num_frames[]: there is no comparison"),
        ({"num_frames[GTE]": "1"}, "'GTE'"),
        ({"colour[ne]": "red"}, "colour"),
        ({"limit[lt]": "3"}, "limit"),
        ({"[lt]": "3"}, "[lt]"),
    ],
)
def test_what_makes_no_sense_is_422(client: httpx.Client, params: dict[str, Any], named: str) -> None:
    response = client.get(UTTERANCES, params=params)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert named in response.json()["detail"]


@pytest.mark.parametrize("path", ["/v1", "/v1/stores/", "/v2/stores", "/v1/stores/nope", "/v1/stores/a%2Fb"])
def test_unknown_paths(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.headers["content-type"] == "application/problem+json"


def test_unknown_methods(client: httpx.Client) -> None:
    response = client.post("/v1/stores")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET"


def test_openapi_describes_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]
        assert {"500", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"]
    answer = operations["get", "/v1/stores/{store}/utterances/{utterance_id}/posteriors"]["responses"]["200"]
    assert set(answer["content"]) == {
        "application/json",
        "application/x-npy",
        "application/vnd.apache.arrow.stream",
    }
    assert "code" in document["components"]["schemas"]["Problem"]["properties"]


def test_a_store_that_grows_is_seen_without_restart(tmp_path: Path) -> None:
    lengths = {"a": 100, "b": 300}
    store = make_store(tmp_path / "store", make_corpus(tmp_path / "corpus", lengths))
    with serving({"demo": store.url}) as client:
        assert listed(client) == ["a", "b"]
        more = make_corpus(tmp_path / "more", {**lengths, "c": 200})
        grown = make_store(tmp_path / "store", more)
        deadline = time.monotonic() + 20
        while "c" not in listed(client) and time.monotonic() < deadline:
            time.sleep(0.05)
        body = client.get(f"{UTTERANCES}/c/posteriors", params={"stop": 1}).json()
    assert body["posteriors"][0] == pytest.approx(grown["c"].posteriors(stop=1)[0].tolist())


def test_a_store_that_breaks_does_not_take_the_others_along(own_store: Store, store: Store) -> None:
    (Path(own_store.url) / "manifest/000001.parquet").unlink()
    with serving({"broken": own_store.url, "whole": store.url}) as client:
        broken, whole = StoreList.model_validate(client.get("/v1/stores").json()).stores
        assert (whole.utterances, whole.problem) == (len(LENGTHS), None)
        assert broken.utterances is None
        assert broken.problem is not None
        assert broken.problem.code == "corrupt_data"
        assert "manifest/000001.parquet is missing in store broken" in broken.problem.detail
        response = client.get("/v1/stores/broken/utterances/a")
        assert (response.status_code, response.json()["code"]) == (500, "corrupt_data")
        assert client.get("/v1/stores/whole/utterances/a").status_code == 200


def test_mounted_below_another_application(store: Store) -> None:
    service = create_app({"demo": store.url})
    outer = FastAPI()
    outer.mount("/soft/targets", service)

    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://outer") as client:
            return await client.get(path)

    body = anyio.run(ask, "/soft/targets/v1/stores/demo/utterances/e%2Fwith%20slash").json()
    assert body["links"]["self"] == "/soft/targets/v1/stores/demo/utterances/e%2Fwith%20slash"
    assert anyio.run(ask, body["links"]["posteriors"]).json()["stop"] == 65


def test_what_is_no_store_is_refused_at_the_start(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(NotFoundError):
        create_app({"demo": tmp_path / "nowhere"})
    with pytest.raises(NotAStoreError):
        create_app({"demo": tmp_path})
    with pytest.raises(NotAStoreError, match="is a corpus"):
        create_app({"demo": corpus.url})
    with pytest.raises(InvalidInputError, match="cannot be served as 'a/b'"):
        create_app({"a/b": tmp_path})
