"""The attributes a store is recognised by."""

from __future__ import annotations

from typing import Any

import pytest

from softstore.codecs import TrackSpec
from softstore.errors import FormatError, NotAStoreError
from softstore.format import Attributes

ATTRIBUTES = Attributes(kind="corpus", class_count=10, tracks={"labels": TrackSpec("uint16")})


def root(**changes: Any) -> dict[str, Any]:
    return {"zarr_format": 3, "attributes": {"softstore": ATTRIBUTES.model_dump(mode="json") | changes}}


def test_attributes_survive_json() -> None:
    assert Attributes.parse(root(), "store") == ATTRIBUTES


def test_attributes_of_a_later_minor_release_are_read() -> None:
    assert Attributes.parse(root(something_new=1), "store").class_count == 10


@pytest.mark.parametrize(
    "found", [{}, {"zarr_format": 2}, {"zarr_format": 3}, {"zarr_format": 3, "attributes": {}}]
)
def test_another_zarr_group_is_not_a_store(found: dict[str, Any]) -> None:
    with pytest.raises(NotAStoreError, match="store is not a softstore"):
        Attributes.parse(found, "store")


def test_chunks_must_fill_shards() -> None:
    with pytest.raises(FormatError, match="cannot be cut into chunks of 100"):
        Attributes.parse(root(chunk_frames=100), "store")


def test_what_a_later_release_added_is_kept() -> None:
    found = Attributes.parse(root(provenance={"who": "me"}), "store")
    assert found.model_dump(mode="json")["provenance"] == {"who": "me"}


def test_a_newer_format_is_named_with_the_remedy() -> None:
    with pytest.raises(FormatError, match=r"format version 2.*install a newer"):
        Attributes.parse(root(format=2), "store")


@pytest.mark.parametrize(
    "changes",
    [{"class_count": 0}, {"shards": -1}, {"kind": "cache"}, {"tracks": 3}, {"tracks": {"x": {"dtype": "O"}}}],
)
def test_attributes_that_make_no_sense_are_named(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=next(iter(changes))):
        Attributes.parse(root(**changes), "store")
