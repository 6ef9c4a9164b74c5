"""The attributes a store is recognised by, and the zarr.json made from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from softstore.codecs import TrackSpec
from softstore.errors import CorruptDataError, FormatError, InvalidInputError, NotAStoreError, SoftstoreError
from softstore.format import Attributes, CodecArray
from softstore.metadata import canonical_json, metadata_objects, parse_root
from softstore.sharding import crc32c

ATTRIBUTES = Attributes(
    kind="corpus",
    class_count=10,
    shards=3,
    shard_frames=512,
    chunk_frames=64,
    block_frames=4,
    compacted=[(0, 1)],
    tracks={
        "labels": TrackSpec("uint16"),
        "targets/x": TrackSpec("float16", 8, 2),
        "targets/y": TrackSpec("int8", 3),
    },
    codec_arrays={"basis": CodecArray(dtype="float32", shape=[4, 5], size=99, sha256="0" * 64)},
    corpus={"name": "süß", "snr": 1e-05},
)


def root(**changes: Any) -> bytes:
    attributes = ATTRIBUTES.model_dump(mode="json") | changes
    checksum = crc32c(canonical_json(attributes))
    found = {"softstore": attributes, "softstore_crc32c": checksum}
    return canonical_json({"zarr_format": 3, "node_type": "group", "attributes": found})


def test_attributes_survive_their_root() -> None:
    assert metadata_objects(ATTRIBUTES)["zarr.json"] == root()
    assert parse_root(root(), "store") == ATTRIBUTES


def test_attributes_of_a_later_minor_release_are_read() -> None:
    assert parse_root(root(something_new=1), "store").class_count == 10


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"zarr_format":2}',
        b'{"zarr_format":3,"node_type":"group"}',
        b'{"zarr_format":3,"node_type":"group","attributes":{}}',
        b'{"zarr_format":3,"node_type":"array","attributes":{"softstore":{}}}',
    ],
)
def test_another_zarr_group_is_not_a_store(found: bytes) -> None:
    with pytest.raises(NotAStoreError, match="store is not a softstore"):
        parse_root(found, "store")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chunk_frames": 100}, "cannot be cut into chunks of 100"),
        ({"block_frames": 3}, "cannot be cut into blocks of 3"),
        ({"compacted": [[0, 1], [1, 2]]}, "not in order"),
        ({"compacted": [[1, 3]]}, "not in the store"),
        (
            {"tracks": {"x": {"dtype": "int8", "width": 9, "chunk_width": 2}}},
            "cannot be cut into chunks of 2",
        ),
        ({"tracks": {"x": {"dtype": "int8", "layout": "new"}}}, "tracks: x: layout"),
        ({"tracks": {"../x": {"dtype": "int8"}}}, "tracks"),
        ({"tracks": {"x": {"dtype": "int8", "ragged": -1}}}, "ragged"),
        (
            {"tracks": {"x": {"dtype": "int8", "ragged": 2}, "y": {"dtype": "int8", "ragged": 3}}},
            "different numbers of rows",
        ),
        (
            {"codec_arrays": {"a/b": {"dtype": "int8", "shape": [1], "size": 1, "sha256": "7" * 64}}},
            "codec_arrays",
        ),
        ({"codec_arrays": {"a": {"dtype": "int8", "shape": [], "size": 1, "sha256": "7" * 64}}}, "shape"),
        ({"codec_arrays": {"a": {"dtype": "int8", "shape": [1], "size": 1, "sha256": "F" * 64}}}, "sha256"),
        ({"codec_arrays": {"a": {"dtype": "int8", "shape": [1], "size": 1, "sha256": "7" * 65}}}, "sha256"),
    ],
)
def test_a_layout_that_does_not_fit_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        parse_root(root(**changes), "store")


def test_what_a_later_release_added_is_kept() -> None:
    found = parse_root(root(provenance={"who": "me"}), "store")
    assert metadata_objects(found)["zarr.json"] == root(provenance={"who": "me"})


def test_a_newer_format_is_named_with_the_remedy() -> None:
    with pytest.raises(FormatError, match=r"format version 2.*install a newer"):
        parse_root(root(format=2), "store")


@pytest.mark.parametrize(
    "changes",
    [{"class_count": 0}, {"shards": -1}, {"kind": "cache"}, {"tracks": 3}, {"tracks": {"x": {"dtype": "O"}}}],
)
def test_attributes_that_make_no_sense_are_named(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=next(iter(changes))):
        parse_root(root(**changes), "store")


def test_no_flipped_bit_of_the_root_is_believed() -> None:
    whole = root()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = parse_root(bytes(damaged), "store")
        except SoftstoreError:
            continue
        # An "e" of a number's exponent that became an "E".
        assert found == ATTRIBUTES


def test_attributes_without_their_checksum_are_damaged() -> None:
    found = json.loads(root())
    del found["attributes"]["softstore_crc32c"]
    with pytest.raises(CorruptDataError, match="do not match their checksum"):
        parse_root(canonical_json(found), "store")


def test_the_checksum_is_that_of_the_bytes_in_the_file() -> None:
    attributes, _, checksum = (
        root().partition(b'{"attributes":{"softstore":')[2].partition(b',"softstore_crc32c":')
    )
    assert crc32c(attributes) == int(checksum.partition(b"}")[0])


def test_attributes_that_json_cannot_say_are_refused() -> None:
    for odd in (float("nan"), "\ud800"):
        with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
            metadata_objects(ATTRIBUTES.model_copy(update={"corpus": {"odd": odd}}))


def test_the_root_comes_last_and_every_array_lies_in_groups() -> None:
    found = metadata_objects(ATTRIBUTES)
    kinds = {path.rpartition("zarr.json")[0]: json.loads(data)["node_type"] for path, data in found.items()}
    groups = {"", "codec/", "lang/", "manifest/", "targets/"}
    assert kinds == dict.fromkeys(groups, "group") | dict.fromkeys(
        ["codec/basis-00000000/", "labels/", "targets/x/", "targets/y/"], "array"
    )
    assert list(found)[-1] == "zarr.json"


def test_golden_metadata_of_an_array() -> None:
    expected = (
        b'{"attributes":{},"chunk_grid":{"configuration":{"chunk_shape":[512,8]},"name":"regular"},'
        b'"chunk_key_encoding":{"configuration":{"separator":"/"},"name":"default"},"codecs":[{"configuration":'
        b'{"chunk_shape":[64,2],"codecs":[{"configuration":{"endian":"little"},"name":"bytes"},{"configuration":'
        b'{"checksum":false,"level":1},"name":"zstd"},{"name":"crc32c"}],"index_codecs":[{"configuration":'
        b'{"endian":"little"},"name":"bytes"},{"name":"crc32c"}],"index_location":"end"},'
        b'"name":"sharding_indexed"}],"data_type":"float16","dimension_names":["frame",null],"fill_value":0.0,'
        b'"node_type":"array","shape":[1536,8],"storage_transformers":[],"zarr_format":3}'
    )
    assert metadata_objects(ATTRIBUTES)["targets/x/zarr.json"] == expected
