"""Stores with chunked columns, ragged tracks, blocks of frames and codec arrays, read by others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorstore
import zarr
from numpy.typing import NDArray

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import TrackSpec
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError
from softstore.format import Attributes, codec_array, codec_object
from softstore.metadata import metadata_objects
from softstore.parts import read_attributes, read_manifest
from softstore.sharding import crc32c
from softstore.storage import Storage, open_storage
from softstore.writer import Writer, create, require_vacant

LENGTHS = {"a": 5, "b": 8, "c": 17}
PADDED = {"a": 8, "b": 8, "c": 20}
FIRST = {"a": 0, "b": 8, "c": 16}
ROWS = sum(PADDED.values())

ATTRIBUTES = Attributes(
    kind="soft_targets",
    class_count=10,
    shard_frames=64,
    chunk_frames=16,
    block_frames=4,
    tracks={
        "features": TrackSpec("float16", 3),
        "labels": TrackSpec("uint16"),
        "targets/coefficients": TrackSpec("int8", 12, chunk_width=4),
        "targets/wide": TrackSpec("uint32", 6, chunk_width=6),
        "targets/escaped": TrackSpec("int16", 2, ragged=3),
    },
    codec={"name": "test"},
)
BASIS: dict[str, NDArray[Any]] = {
    "basis": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "mean": np.arange(7, dtype=np.int8),
}


def tracks(features_padded: bool = False) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    features = random.normal(size=(sum(LENGTHS.values()), 3)).astype(np.float16)
    if features_padded:
        rows = np.concatenate([np.arange(FIRST[name], FIRST[name] + LENGTHS[name]) for name in LENGTHS])
        padded = np.zeros((ROWS, 3), np.float16)
        padded[rows] = features
        features = padded
    return {
        "features": features,
        "labels": random.integers(0, 10, sum(LENGTHS.values())).astype(np.uint16),
        "targets/coefficients": random.integers(-9, 9, (ROWS, 12)).astype(np.int8),
        "targets/wide": random.integers(0, 2**32, (ROWS, 6)).astype(np.uint32),
        "targets/escaped": random.integers(-9, 9, (150, 2)).astype(np.int16),
    }


def rows() -> list[dict[str, Any]]:
    return [
        {"utterance_id": name, "num_frames": frames, "speaker": "s", "split": "train", "text": ""}
        for name, frames in LENGTHS.items()
    ]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A finished store of two shards that hold the same; the second was given padded features."""
    storage = open_storage(tmp_path / "store", writable=True)
    writer = create(storage, ATTRIBUTES, codec_arrays=BASIS)
    writer.allocate(2)
    for shard in (0, 1):
        named = [{**row, "utterance_id": f"{row['utterance_id']}{shard}"} for row in rows()]
        assert writer.write_shard(shard, named, tracks(features_padded=shard == 1), {"1": [3, 0]})
    writer.finish()
    return storage


def by_zarr(url: str, path: str) -> NDArray[Any]:
    array = zarr.open_group(url, mode="r")[path]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def by_tensorstore(url: str, path: str) -> NDArray[Any]:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{url}/{path}/"}}
    return np.asarray(tensorstore.open(spec, read=True).result()[:].read().result())


@pytest.mark.parametrize("read", [by_zarr, by_tensorstore])
def test_other_readers_read_every_kind_of_array(
    storage: Storage, read: Callable[[str, str], NDArray[Any]]
) -> None:
    for track in ("targets/coefficients", "targets/wide", "targets/escaped"):
        wanted = tracks()[track]
        found = read(storage.url, track)
        assert found.shape == (384 if track == "targets/escaped" else 128, *wanted.shape[1:])
        for half in np.split(found, 2):
            np.testing.assert_array_equal(half[: len(wanted)], wanted)
            assert not half[len(wanted) :].any()
    for name, entry in read_attributes(storage).codec_arrays.items():
        np.testing.assert_array_equal(read(storage.url, codec_array(name, entry)), BASIS[name])


@pytest.mark.parametrize("read", [by_zarr, by_tensorstore])
@pytest.mark.parametrize("track", ["features", "labels"])
def test_utterances_begin_at_blocks_and_zeros_lie_behind_them(
    storage: Storage, read: Callable[[str, str], NDArray[Any]], track: str
) -> None:
    found, wanted = read(storage.url, track), tracks()[track]
    table = read_manifest(storage, read_attributes(storage)).table
    starts = {row["utterance_id"]: row["first_frame"] for row in table.to_pylist()}
    assert starts == {f"{name}{shard}": 64 * shard + FIRST[name] for shard in (0, 1) for name in LENGTHS}
    for shard in (0, 1):
        offset = 0
        for name, frames in LENGTHS.items():
            first = starts[f"{name}{shard}"]
            np.testing.assert_array_equal(found[first : first + frames], wanted[offset : offset + frames])
            assert not found[first + frames : first + PADDED[name]].any()
            offset += frames


def test_features_have_the_same_checksum_padded_or_not(storage: Storage) -> None:
    manifest = read_manifest(storage, read_attributes(storage))
    checksums = manifest.by_utterance("features_crc32c")
    assert checksums["c0"] == checksums["c1"] == crc32c(tracks()["features"][13:].tobytes())


def test_every_metadata_object_is_as_its_attributes_have_it(storage: Storage) -> None:
    attributes = read_attributes(storage)
    assert (attributes.shards, attributes.block_frames) == (2, 4)
    expected = metadata_objects(attributes)
    found = {path: storage.get(path) for path, _ in storage.walk() if path.endswith("zarr.json")}
    assert found == expected
    assert {name for name, _ in zarr.open_group(storage.url, mode="r").groups()} == {
        "codec",
        "manifest",
        "targets",
    }


def test_codec_arrays_come_back(storage: Storage) -> None:
    found = read_codec_arrays(storage, read_attributes(storage))
    assert found.keys() == BASIS.keys()
    for name, array in BASIS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_damaged_codec_array_is_an_error(storage: Storage) -> None:
    attributes = read_attributes(storage)
    path = codec_object("mean", attributes.codec_arrays["mean"])
    assert re.fullmatch("codec/mean-[0-9a-f]{8}/c/0", path)
    whole = storage.get(path)
    for bit in range(0, 8 * len(whole), 5):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        storage.put(path, bytes(damaged))
        with pytest.raises(CorruptDataError, match=path):
            read_codec_arrays(storage, attributes)
    storage.put(path, whole[:-1])
    with pytest.raises(CorruptDataError, match=path):
        read_codec_arrays(storage, attributes)
    storage.delete(path)
    with pytest.raises(CorruptDataError, match=f"{path} is missing"):
        read_codec_arrays(storage, attributes)


@pytest.mark.parametrize("array", [np.zeros((0, 3), np.float32), np.float32(1).reshape(()), np.zeros(3)])
def test_codec_arrays_that_cannot_be_stored_are_refused(tmp_path: Path, array: NDArray[Any]) -> None:
    storage = open_storage(tmp_path / "new", writable=True)
    with pytest.raises(InvalidInputError, match="codec array 'basis'"):
        create(storage, ATTRIBUTES, codec_arrays={"basis": array})
    assert not list(storage.walk())


def test_what_an_interrupted_creation_left_does_not_stop_the_next(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "new", writable=True)
    create(storage, ATTRIBUTES, codec_arrays=BASIS)
    with pytest.raises(ConflictError, match="not empty"):
        require_vacant(storage)
    storage.delete("zarr.json")
    create(storage, ATTRIBUTES, codec_arrays=BASIS)
    assert read_codec_arrays(storage, read_attributes(storage)).keys() == BASIS.keys()


def test_who_begins_a_store_leaves_the_arrays_of_another_alone(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "new", writable=True)
    first = create(storage, ATTRIBUTES, codec_arrays=BASIS).attributes
    storage.delete("zarr.json")
    other = {name: array + array.dtype.type(1) for name, array in BASIS.items()}
    second = create(storage, ATTRIBUTES, codec_arrays=other).attributes
    for attributes, wanted in ((first, BASIS), (second, other)):
        found = read_codec_arrays(storage, attributes)
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": None}, "without its labels track"),
        ({"labels": np.zeros(31, np.uint16)}, "labels track has 31 rows for 30 frames, which occupy 36"),
        ({"targets/wide": np.zeros((30, 6), np.uint32)}, "targets/wide track has 30 rows"),
        (
            {"targets/escaped": np.zeros((193, 2), np.int16)},
            "escaped track has 193 rows, a shard has room for 192",
        ),
        ({"features": np.zeros((30, 4), np.float16)}, r"features track have shape \(4,\), not \(3,\)"),
    ],
)
def test_rows_that_do_not_fit_are_named_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    storage = open_storage(tmp_path / "new", writable=True)
    writer = create(storage, ATTRIBUTES)
    before = list(storage.walk())
    given = {name: array for name, array in (tracks() | change).items() if array is not None}
    with pytest.raises(InvalidInputError, match=sentence):
        writer.write_shard(0, rows(), given)
    with pytest.raises(InvalidInputError, match="without utterances"):
        writer.write_shard(0, [], {name: array[:0] for name, array in tracks().items()})
    assert list(storage.walk()) == before


def test_a_ragged_track_may_be_empty(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "new", writable=True)
    writer = create(storage, ATTRIBUTES)
    writer.allocate(1)
    assert writer.write_shard(0, rows(), tracks() | {"targets/escaped": np.zeros((0, 2), np.int16)})
    for read in (by_zarr, by_tensorstore):
        assert not read(storage.url, "targets/escaped").any()


def test_attributes_of_a_later_release_outlive_an_append(storage: Storage) -> None:
    later = {"provenance": {"who": "me"}, "teacher": {"fingerprint": "f", "licence": "free"}}
    attributes = Attributes.model_validate(read_attributes(storage).model_dump() | later)
    storage.put("zarr.json", metadata_objects(attributes)["zarr.json"])
    Writer(storage, attributes).allocate(5)
    found = read_attributes(storage)
    assert found.shards == 5
    assert found.model_dump(mode="json")["provenance"] == {"who": "me"}
    assert found.model_dump(mode="json")["teacher"]["licence"] == "free"


def test_a_part_under_another_name_is_an_error(storage: Storage) -> None:
    storage.put("manifest/000000.parquet", storage.get("manifest/000001.parquet"))
    with pytest.raises(CorruptDataError, match=r"manifest/000000\.parquet in .* does not hold the shards"):
        read_manifest(storage, read_attributes(storage))


def test_pyarrow_reads_a_part_from_disk(storage: Storage) -> None:
    table = pq.read_table(Path(storage.url) / "manifest/000000.parquet")
    paths = {entry["path"] for entry in table["objects"][0].as_py()}
    assert paths == {f"{track}/c/0" if track == "labels" else f"{track}/c/0/0" for track in ATTRIBUTES.tracks}


def test_a_run_that_left_a_hole_hides_nothing(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "new", writable=True)
    writer = create(storage, ATTRIBUTES)
    writer.allocate(4)
    for shard in (0, 2):
        named = [{**row, "utterance_id": f"{row['utterance_id']}{shard}"} for row in rows()]
        writer.write_shard(shard, named, tracks())
    writer.finish()
    found = read_attributes(storage)
    assert (found.shards, found.complete and found.complete.shards) == (4, 1)
    assert read_manifest(storage, found).shards == [0, 2]
