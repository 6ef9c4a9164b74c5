"""Listings of utterances: whatever is asked for comes whole, in order, and only once."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import softstore
from api import rows
from api.formats import ARROW, PARQUET
from api.models import UtterancePage
from softstore import Store
from softstore.codecs import Float32
from softstore.indexing import write_index
from softstore.storage import open_storage
from tests.integration.test_api_posteriors import problem
from tests.samples import make_corpus, make_store
from tests.service import serving

CLASSES = 4
WORDS = ("Fox", "ÜBER", "lazy dog", "", "50%_x")


def columns_of(number: int) -> dict[str, Any]:
    """Columns with ties, gaps and NaN."""
    return {
        "speaker": f"Speaker-{number % 5}",
        "split": "cv" if number % 4 == 0 else "train",
        "text": f"{WORDS[number % 5]} {number % 3}",
        "snr_db": None if number % 7 == 0 else float(number * 37 % 11),
        "clean": number % 3 == 0,
        "take": None if number % 5 == 0 else -(number % 6),
    }


def record(path: Path, numbers: range) -> Store:
    """Add utterances, a few in a shard."""
    place: dict[str, Any] = {"shard_frames": 64, "chunk_frames": 16}
    with softstore.create(path, class_count=CLASSES, teacher="t", codec=Float32(), **place) as recorder:
        for number in numbers:
            log_posteriors = np.full((1 + number % 9, CLASSES), -math.log(CLASSES), np.float32)
            recorder.add(f"Id-{number * 7919 % 1000:03d}", log_posteriors, **columns_of(number))
    return softstore.open(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    """The same utterances in a store whose manifest is read, and in one that is too large for that."""
    root = tmp_path_factory.mktemp("listed")
    small = record(root / "small", range(120))
    record(root / "large", range(120))
    storage = open_storage(root / "large", writable=True)
    write_index(storage, softstore.open(root / "large").attributes)
    return {"small": small, "large": softstore.open(root / "large")}


@pytest.fixture(scope="module")
def client(stores: dict[str, Store]) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        # Several batches, and several pieces in the file.
        patch.setattr(rows, "_BATCH_ROWS", 32)
        with serving({name: store.url for name, store in stores.items()}) as client:
            yield client


def pages(client: httpx.Client, store: str, limit: int, **params: Any) -> Iterator[UtterancePage]:
    url: str | None = str(httpx.URL(f"/v1/stores/{store}/utterances", params={**params, "limit": limit}))
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        body = UtterancePage.model_validate(answer.json())
        assert len(body.utterances) <= limit
        following = answer.links.get("next", {}).get("url")
        assert following == body.links.get("next")
        assert (body.next_cursor is None) == (following is None)
        yield body
        url = following


def ids(client: httpx.Client, store: str, limit: int = 7, **params: Any) -> list[str]:
    return [row.utterance_id for page in pages(client, store, limit, **params) for row in page.utterances]


def manifest_rows(store: Store) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = store.manifest.table.to_pylist()
    return found


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("limit", [1, 7, 120, 1000])
def test_everything_in_stored_order(
    client: httpx.Client, stores: dict[str, Store], name: str, limit: int
) -> None:
    found = list(pages(client, name, limit))
    everything = [row.model_dump() for page in found for row in page.utterances]
    assert everything == manifest_rows(stores["small"])
    assert {page.total for page in found} == {120}


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize(
    "column", ["utterance_id", "text", "snr_db", "clean", "take", "num_frames", "entropy", "first_frame"]
)
@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("split", [None, "cv"])
def test_sorted_by_any_column(
    client: httpx.Client, stores: dict[str, Store], name: str, column: str, falling: bool, split: str | None
) -> None:
    listed = [row for row in manifest_rows(stores["small"]) if split in (None, row["split"])]
    there = [row for row in listed if row[column] is not None]
    # Python's sort is stable, also where it falls.
    there.sort(key=lambda row: row[column], reverse=falling)
    expected = there + [row for row in listed if row[column] is None]
    wanted: dict[str, Any] = {"split": split} if split else {}
    found = ids(client, name, sort=f"-{column}" if falling else column, **wanted)
    assert found == [row["utterance_id"] for row in expected]


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize(
    "text", ["fox", "FOX", "id-1", "speaker-2", "über", "50%_x", "dog 2", "no such thing", ".*", "'"]
)
def test_searched_for(client: httpx.Client, stores: dict[str, Store], name: str, text: str) -> None:
    expected = [
        row["utterance_id"]
        for row in manifest_rows(stores["small"])
        if any(text.lower() in row[column].lower() for column in ("utterance_id", "speaker", "text"))
    ]
    found = list(pages(client, name, 7, q=text))
    assert [row.utterance_id for page in found for row in page.utterances] == expected
    assert {page.total for page in found} == {len(expected)}


@pytest.mark.parametrize("name", ["small", "large"])
def test_conditions_together(client: httpx.Client, stores: dict[str, Store], name: str) -> None:
    params: dict[str, Any] = {"q": "FOX", "split": "train", "clean": "true", "sort": "-num_frames"}
    expected = [
        row
        for row in manifest_rows(stores["small"])
        if "fox" in row["text"].lower() and row["split"] == "train" and row["clean"]
    ]
    expected.sort(key=lambda row: -row["num_frames"])
    assert 3 < len(expected) < 40
    assert ids(client, name, limit=2, **params) == [row["utterance_id"] for row in expected]


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("params", [{}, {"q": "fox"}, {"sort": "text"}])
def test_nobody_counts_for_those_who_do_not_want_to_know(
    client: httpx.Client, name: str, params: dict[str, str]
) -> None:
    counted, uncounted = (list(pages(client, name, 7, count=count, **params)) for count in ("true", "false"))
    assert {page.total for page in uncounted} == {None}
    assert [page.utterances for page in counted] == [page.utterances for page in uncounted]


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("accept", [ARROW, PARQUET])
@pytest.mark.parametrize("params", [{}, {"q": "fox", "sort": "-snr_db", "columns": "text,snr_db"}])
def test_as_a_table(client: httpx.Client, name: str, accept: str, params: dict[str, str]) -> None:
    url = f"/v1/stores/{name}/utterances"
    plain = client.get(url, params={**params, "limit": 10}).json()
    answer = client.get(url, params={**params, "limit": 10}, headers={"Accept": accept})
    assert answer.headers["content-type"] == accept
    if accept == ARROW:
        table = pa.ipc.open_stream(answer.content).read_all()
    else:
        table = pq.read_table(io.BytesIO(answer.content))
    assert table.to_pylist() == plain["utterances"]
    assert json.loads(table.schema.metadata[b"softstore"]) == {
        "total": plain["total"],
        "next_cursor": plain["next_cursor"],
    }
    assert answer.links["next"]["url"] == plain["links"]["next"]
    if "columns" in params:
        assert table.column_names == ["utterance_id", "text", "snr_db"]
    else:
        assert table.schema.field("num_frames").type == pa.int32()


def test_tables_may_be_longer_than_json(client: httpx.Client) -> None:
    url = "/v1/stores/small/utterances"
    found = problem(client.get(url, params={"limit": 1001}))
    assert (found.status, found.code, found.limit) == (422, "limit_exceeded", 1000)
    assert client.get(url, params={"limit": 1001}, headers={"Accept": PARQUET}).status_code == 200


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_cursor_belongs_to_its_query(client: httpx.Client, name: str) -> None:
    url = f"/v1/stores/{name}/utterances"
    queries: list[dict[str, str]] = [
        {}, {"split": "cv"}, {"q": "fox"}, {"sort": "text"}, {"sort": "-text"}, {"sort": "text", "q": "x"},
    ]  # fmt: skip
    cursors = [client.get(url, params={**query, "limit": 2}).json()["next_cursor"] for query in queries]
    for query in queries:
        for other, cursor in zip(queries, cursors, strict=True):
            answer = client.get(url, params={**query, "cursor": cursor})
            assert answer.status_code == (200 if other == query else 422)
    assert "cursor" in problem(client.get(url, params={"sort": "text", "cursor": cursors[0]})).detail


def test_what_was_not_there_from_the_start_does_not_disturb(tmp_path: Path) -> None:
    record(tmp_path / "store", range(60))
    before = [row["utterance_id"] for row in manifest_rows(softstore.open(tmp_path / "store"))]
    with serving({"small": str(tmp_path / "store")}) as client:
        first = {
            sort: client.get("/v1/stores/small/utterances", params={"limit": 20, **sort_of(sort)}).json()
            for sort in ("", "text", "-snr_db")
        }
        record(tmp_path / "store", range(60, 120))
        deadline = time.monotonic() + 20
        while client.get("/v1/stores/small/utterances").json()["total"] < 120 and time.monotonic() < deadline:
            time.sleep(0.05)
        for sort, page in first.items():
            found = [row["utterance_id"] for row in page["utterances"]]
            following = page["links"]["next"]
            while following:
                later = client.get(following).json()
                assert later["total"] == 120
                found += [row["utterance_id"] for row in later["utterances"]]
                following = later["links"].get("next")
            assert len(set(found)) == len(found)
            assert set(before) <= set(found)
            assert sort or len(found) == 120


def sort_of(sort: str) -> dict[str, str]:
    return {"sort": sort} if sort else {}


def test_columns_that_only_some_parts_have(tmp_path: Path) -> None:
    lengths = {"a": 100, "b": 300}
    path = tmp_path / "store"
    make_store(path, make_corpus(tmp_path / "corpus", lengths))
    storage = open_storage(path, writable=True)
    write_index(storage, softstore.open(path).attributes)
    with serving({"demo": str(path)}) as client:
        url = "/v1/stores/demo/utterances"
        body = client.get(url, params={"columns": "snr_db,text"}).json()
        assert [set(row) for row in body["utterances"]] == [{"utterance_id", "snr_db", "text"}] * 2
        assert "colour" in problem(client.get(url, params={"columns": "colour"})).detail


@pytest.mark.parametrize("name", ["small", "large"])
def test_versions(client: httpx.Client, name: str) -> None:
    url = f"/v1/stores/{name}/utterances"
    answer = client.get(url, params={"limit": 3})
    assert answer.headers["cache-control"] == "no-cache"
    named = {"If-None-Match": answer.headers["etag"]}
    assert client.get(url, params={"limit": 3}, headers=named).status_code == 304
    assert client.get(url, params={"limit": 4}, headers=named).status_code == 200
    assert client.get(f"{url}/Id-000").json()["utterance"]["utterance_id"] == "Id-000"


def test_a_store_that_is_large_is_summed_up_without_its_manifest(
    client: httpx.Client, stores: dict[str, Store]
) -> None:
    small, large = client.get("/v1/stores").json()["stores"]
    assert (large["utterances"], large["frames"]) == (small["utterances"], small["frames"])
    detail, other = (client.get(f"/v1/stores/{name}").json() for name in ("small", "large"))
    for name in ("utterances", "frames", "splits", "certificate", "track_bytes"):
        assert detail[name] == other[name]
