"""Range and If-None-Match headers."""

from __future__ import annotations

import pytest

from api.problems import ProblemError
from api.ranges import byte_range, matches


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 4)),
        ("bytes=5-", (5, 5)),
        ("bytes=9-100", (9, 1)),
        ("bytes=-3", (7, 3)),
        ("bytes=-100", (0, 10)),
        ("Bytes = 2 - 5", (2, 4)),
    ],
)
def test_one_range(header: str, expected: tuple[int, int]) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=0-1٣"],
)
def test_anything_else_is_the_whole_object(header: str | None) -> None:
    assert byte_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=9999999999999999999-", 10), ("bytes=0-", 0)],
)
def test_beyond_the_object_is_416(header: str, size: int) -> None:
    with pytest.raises(ProblemError) as refused:
        byte_range(header, size)
    assert refused.value.problem.status == 416
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}


def test_etags() -> None:
    assert matches('"a"', '"a"')
    assert matches('"b", W/"a"', '"a"')
    assert matches("*", '"a"')
    assert not matches('"b"', '"a"')
    assert not matches(None, '"a"')
    assert not matches("*", None)
