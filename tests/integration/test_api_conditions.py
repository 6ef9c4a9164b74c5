"""Listings by what their columns hold: as Python finds the rows, page after page."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

import softstore
from api import rows
from api.conditions import condition_of
from api.limits import FILTER_VALUES
from softstore import Store
from softstore.codecs import Float32
from softstore.indexing import write_index
from softstore.storage import open_storage
from tests.integration.test_api_posteriors import problem
from tests.service import serving

UTTERANCES = "/v1/stores/{}/utterances"
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "[gt]": operator.gt,
    "[gte]": operator.ge,
    "[lt]": operator.lt,
    "[lte]": operator.le,
    "[ne]": operator.ne,
}


def columns_of(number: int) -> dict[str, Any]:
    """Columns with ties, gaps, both zeros, and a name that looks like a comparison."""
    noise = {0: None, 1: -0.0, 2: 0.0}.get(number % 9, float(number % 6))
    return {
        "speaker": f"Speaker-{number % 5}",
        "split": ("cv", "train", "dev")[number % 3],
        "snr_db": noise,
        "clean": None if number % 4 == 0 else number % 3 == 0,
        "take": None if number % 5 == 0 else -(number % 6),
        "rank[gt]": number % 2,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Utterances, a few in a shard, in a store whose manifest is too large to be held."""
    path = tmp_path_factory.mktemp("conditions") / "store"
    place: dict[str, Any] = {"shard_frames": 64, "chunk_frames": 16}
    with softstore.create(path, class_count=2, teacher="t", codec=Float32(), **place) as recorder:
        for number in range(60):
            log_posteriors = np.full((1 + number % 9, 2), -math.log(2), np.float32)
            recorder.add(f"id-{number:03d}", log_posteriors, **columns_of(number))
    write_index(open_storage(path, writable=True), softstore.open(path).attributes)
    return softstore.open(path)


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        # Several batches.
        patch.setattr(rows, "_BATCH_ROWS", 16)
        with serving({"demo": store.url}) as client:
            yield client


def listed(client: httpx.Client, params: dict[str, Any], limit: int = 7) -> list[str]:
    """The ids on all pages; each page says the same total."""
    found: list[str] = []
    totals: set[int] = set()
    url: str | None = str(httpx.URL(UTTERANCES.format("demo"), params={**params, "limit": limit}))
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [row["utterance_id"] for row in body["utterances"]]
        totals.add(body["total"])
        url = body["links"].get("next")
    assert totals == {len(found)}
    return found


def expected(store: Store, holds: Callable[[dict[str, Any]], bool]) -> list[str]:
    return [row["utterance_id"] for row in store.manifest.table.to_pylist() if holds(row)]


def compared(value: Any, compare: Callable[[Any, Any], bool], other: Any) -> bool:
    """What is not there compares with nothing."""
    return value is not None and compare(value, other)


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("num_frames", "5", 5),
        ("snr_db", "2", 2.0),
        ("snr_db", "0", 0.0),
        ("snr_db", "inf", math.inf),
        ("take", "-2", -2),
        ("clean", "true", True),
        ("clean", "false", False),
        ("speaker", "Speaker-2", "Speaker-2"),
        ("utterance_id", "id-03", "id-03"),
        ("entropy", "0.5", 0.5),
    ],
)
def test_every_comparison_of_every_type(
    client: httpx.Client, store: Store, comparison: str, column: str, text: str, value: Any
) -> None:
    found = listed(client, {f"{column}{comparison}": text})
    assert found == expected(store, lambda row: compared(row[column], COMPARISONS[comparison], value))


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_nan_is_no_value(client: httpx.Client, comparison: str) -> None:
    assert listed(client, {f"snr_db{comparison}": "nan"}) == []
    batch = pa.record_batch({"x": [1.0, math.nan, None, 3.0]})
    for value in (0.0, 1.0, 2.0):
        where = condition_of(batch.schema, f"x{comparison}", [str(value)]).where(batch)
        compare = COMPARISONS[comparison]
        assert where.tolist() == [compare(1.0, value), False, False, compare(3.0, value)]


@pytest.mark.parametrize("sort", ["", "-num_frames", "snr_db"])
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_all_conditions_hold_on_every_page(client: httpx.Client, store: Store, sort: str, limit: int) -> None:
    params: dict[str, Any] = {
        "num_frames[gte]": 3, "num_frames[lt]": 8, "split[ne]": "dev", "take[lte]": -1, "q": "speaker",
    }  # fmt: skip
    found = listed(client, params | ({"sort": sort} if sort else {}), limit)
    wanted = expected(
        store,
        lambda row: (
            3 <= row["num_frames"] < 8 and row["split"] != "dev" and compared(row["take"], operator.le, -1)
        ),
    )
    assert sorted(found) == sorted(wanted)
    assert 5 < len(found) < 30


def test_one_of_several_values_none_of_several_others(client: httpx.Client, store: Store) -> None:
    assert listed(client, {"split": ["cv", "dev"]}) == expected(
        store, lambda row: row["split"] in ("cv", "dev")
    )
    assert listed(client, {"take": ["-1", "-3"]}) == expected(store, lambda row: row["take"] in (-1, -3))
    found = listed(client, {"take[ne]": ["-1", "-3"], "speaker": ["Speaker-1", "Speaker-2"]})
    assert found == expected(
        store,
        lambda row: row["take"] not in (None, -1, -3) and row["speaker"] in ("Speaker-1", "Speaker-2"),
    )


def test_a_column_goes_by_its_whole_name(client: httpx.Client, store: Store) -> None:
    assert listed(client, {"rank[gt]": "1"}) == expected(store, lambda row: row["rank[gt]"] == 1)
    assert listed(client, {"rank[gt][lt]": "1"}) == expected(store, lambda row: row["rank[gt]"] == 0)


def test_a_cursor_belongs_to_its_conditions(client: httpx.Client) -> None:
    url = UTTERANCES.format("demo")
    queries: list[dict[str, Any]] = [
        {"take": "-1"}, {"take[gte]": "-1"}, {"take[lte]": "-1"}, {"take": ["-1", "-2"]},
        {"take[ne]": ["-1", "-2"]},
    ]  # fmt: skip
    cursors = [client.get(url, params={**query, "limit": 1}).json()["next_cursor"] for query in queries]
    for query in queries:
        for other, cursor in zip(queries, cursors, strict=True):
            answer = client.get(url, params={**query, "cursor": cursor})
            assert answer.status_code == (200 if other == query else 422)
    turned = client.get(url, params={"take": ["-2", "-1"], "cursor": cursors[3]})
    assert turned.status_code == 200


def test_values_have_a_limit(client: httpx.Client) -> None:
    url = UTTERANCES.format("demo")
    assert client.get(url, params={"take[ne]": ["7"] * FILTER_VALUES}).status_code == 200
    many = {"take[ne]": ["7"] * (FILTER_VALUES - 1), "split": ["cv", "dev"]}
    found = problem(client.get(url, params=many))
    assert (found.status, found.code, found.limit) == (422, "limit_exceeded", FILTER_VALUES)


def test_the_document_says_how(client: httpx.Client) -> None:
    """Also that its own example is answered."""
    operation = client.get("/openapi.json").json()["paths"]["/v1/stores/{store}/utterances"]["get"]
    (described,) = (found for found in operation["parameters"] if found["name"] == "conditions")
    assert client.get(UTTERANCES.format("demo"), params=described["example"]).status_code == 200
