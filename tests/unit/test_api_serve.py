"""How stores named on the command line get their names."""

from __future__ import annotations

import sys

import pytest

from api.cli import serve
from api.names import named_stores
from softstore.errors import InvalidInputError, MissingDependencyError


def test_a_name_is_given_or_is_the_last_segment() -> None:
    assert named_stores(
        ["runs/demo/store", "big=s3://bucket/some/where/", "s3://bucket", "http://host/v1/x?k=v", "./a=b"]
    ) == {
        "store": "runs/demo/store",
        "big": "s3://bucket/some/where/",
        "bucket": "s3://bucket",
        "x": "http://host/v1/x?k=v",
        "a=b": "./a=b",
    }


@pytest.mark.parametrize("arguments", [["a/store", "b/store"], ["x=a", "x=b"], ["."], ["/"], ["=a"], ["x="]])
def test_a_name_twice_or_none(arguments: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="write NAME=PATH_OR_URL"):
        named_stores(arguments)


def test_without_its_dependencies_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r"needs uvicorn, .* pip install 'softstore\[api\]'"):
        serve(["store"])
