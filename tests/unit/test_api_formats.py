"""Which format a client gets."""

from __future__ import annotations

import math

import numpy as np
import orjson
import pytest

from api.formats import JSON, NPY, JsonResponse, negotiate
from api.problems import ProblemError


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/x-npy", NPY),
        ("APPLICATION/X-NPY; q=0.5", NPY),
        ("application/json;q=0.5, application/x-npy", NPY),
        ("application/json;q=0, */*", NPY),
        ("application/x-npy;q=0.4, application/*;q=0.3, text/html", NPY),
        ("text/html, */*;q=0.1", JSON),
        ("application/x-npy;q=high, application/json", JSON),
    ],
)
def test_the_most_wanted_format_is_chosen(accept: str | None, expected: str) -> None:
    assert negotiate(accept, (JSON, NPY)) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "image/*", "application/x-npy;q=nan"]
)
def test_none_acceptable_is_406(accept: str) -> None:
    with pytest.raises(ProblemError, match=r"application/json, application/x-npy") as refused:
        negotiate(accept, (JSON, NPY))
    assert refused.value.problem.status == 406


def test_json_holds_whatever_a_manifest_column_may() -> None:
    row = {"snr": math.nan, "key": b"\xff\x00", "name": "ü", "levels": [1.5, math.inf]}
    assert orjson.loads(JsonResponse(row).body) == {
        "snr": None,
        "key": "/wA=",
        "name": "ü",
        "levels": [1.5, None],
    }


def test_float32_survives_json_exactly() -> None:
    values = np.random.default_rng(0).random((50, 40), np.float32) ** 20
    read = orjson.loads(JsonResponse({"values": values}).body)["values"]
    np.testing.assert_array_equal(np.asarray(read, np.float32), values)
