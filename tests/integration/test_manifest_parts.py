"""The manifest a part at a time: nothing is left out or comes twice, whoever is at work on the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from softstore import Corpus, Store
from softstore.codecs import TrackSpec
from softstore.compact import compact
from softstore.errors import CorruptDataError
from softstore.format import Attributes
from softstore.frames import Frames
from softstore.inventory import inventory
from softstore.manifest import OF_A_SHARD
from softstore.parts import iter_parts, iter_whole, part_of_shard, read_attributes, read_part
from softstore.storage import Storage, open_storage
from softstore.store_certificate import store_certificate
from softstore.writer import Writer, create, update_attributes
from tests.samples import LENGTHS, make_corpus, make_store
from tests.watched import clone, watched

SHARDS = 100
"""More than are read ahead."""


def publish(storage: Storage, shards: range) -> None:
    writer = Writer(storage, read_attributes(storage))
    writer.allocate(shards.stop)
    for shard in shards:
        row = {"utterance_id": f"u{shard}", "num_frames": 1, "speaker": "s", "split": "train", "text": ""}
        extra = {"snr.db": 3.0} if shard % 2 else {"snr": 1.0}
        assert writer.write_shard(shard, [row | extra], {"labels": np.ones(1, np.uint16)})


@pytest.fixture
def storage() -> Storage:
    found = open_storage(f"memory://{uuid4().hex}")
    tracks = {"labels": TrackSpec("uint16")}
    create(found, Attributes(kind="corpus", class_count=9, shard_frames=8, chunk_frames=8, tracks=tracks))
    publish(found, range(SHARDS))
    return found


def shards(parts: Iterator[pa.Table]) -> list[int]:
    return [shard for part in parts for shard in part["shard"].to_pylist()]


def test_columns_are_those_asked_for_that_there_are(storage: Storage) -> None:
    attributes = read_attributes(storage)
    asked = ["snr", "utterance_id", "nobody's"]
    first, second = (part for part, _ in zip(iter_parts(storage, attributes, asked), range(2), strict=False))
    assert (first.column_names, second.column_names) == (["snr", "utterance_id"], ["utterance_id"])
    whole = read_part(storage, (1, 1))
    assert whole is not None
    assert set(whole.column_names) > {"snr.db", *OF_A_SHARD}
    assert second["utterance_id"].equals(whole["utterance_id"])


def test_what_is_damaged_in_another_column_is_damage(storage: Storage) -> None:
    data = bytearray(storage.get("manifest/000050.parquet"))
    data[40] ^= 1
    storage.put("manifest/000050.parquet", bytes(data))
    with pytest.raises(CorruptDataError, match=r"manifest/000050\.parquet is damaged"):
        shards(iter_parts(storage, read_attributes(storage), ["shard"]))


def test_only_so_many_are_in_memory(storage: Storage) -> None:
    counted, backend = watched(storage)
    parts = iter_parts(counted, read_attributes(storage))
    for _ in range(20):
        next(parts)
    assert len(backend.reads) < 60
    parts.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("max_shards", [2, 7, 32])
def test_whoever_compacts_meanwhile_every_shard_comes_once(storage: Storage, max_shards: int) -> None:
    attributes = read_attributes(storage)
    parts = iter_parts(storage, attributes, ["shard"])
    found = [next(parts)["shard"][0].as_py() for _ in range(10)]
    compact(storage, max_shards)
    found += shards(parts)
    assert found == list(range(SHARDS))


def test_whoever_adds_meanwhile_what_was_there_comes(storage: Storage) -> None:
    update_attributes(storage, {"shards": SHARDS + 5})
    parts = iter_parts(storage, read_attributes(storage), ["shard"])
    found = [next(parts)["shard"][0].as_py()]
    publish(storage, range(SHARDS, SHARDS + 2))
    compact(storage)
    found += shards(parts)
    assert found[:SHARDS] == list(range(SHARDS))
    assert found[SHARDS:] in ([], [SHARDS, SHARDS + 1])


def test_room_without_shards_costs_few_looks_at_the_root(storage: Storage) -> None:
    update_attributes(storage, {"shards": 1000})
    counted, backend = watched(storage)
    assert len(shards(iter_parts(counted, read_attributes(storage)))) == SHARDS
    assert backend.reads.count("zarr.json") < 450


def test_known_shards_are_left_out(storage: Storage) -> None:
    compact(storage, 10)
    known = [(0, 24), (40, 89)]
    found = shards(iter_parts(storage, read_attributes(storage), ["shard"], known))
    assert found == [*range(20, 40), *range(90, 100)]
    compacted = read_attributes(storage).compacted
    assert [part_of_shard(compacted, shard) for shard in (0, 9, 10, 99, 100)] == [
        *[(0, 9)] * 2,
        (10, 19),
        (90, 99),
        (100, 100),
    ]


@pytest.mark.parametrize("lost", [0, 41, SHARDS - 1])
def test_a_lost_part_is_an_error_where_all_must_be_there(storage: Storage, lost: int) -> None:
    Writer(storage, read_attributes(storage)).finish()
    attributes = read_attributes(storage)
    storage.delete(f"manifest/{lost:06d}.parquet")
    assert len(shards(iter_parts(storage, attributes))) == SHARDS - 1
    with pytest.raises(CorruptDataError, match=rf"manifest/{lost:06d}\.parquet is missing"):
        shards(iter_whole(storage, attributes))


@pytest.fixture(scope="module")
def store() -> Store:
    return make_store(f"memory://{uuid4().hex}", make_corpus(f"memory://{uuid4().hex}", LENGTHS))


def test_sums_need_no_manifest_and_do_not_hang_on_how_it_is_cut(store: Store) -> None:
    whole = Frames(store.frames.storage)
    assert len(whole.manifest) == len(LENGTHS)
    for max_shards in (1, 2, 64):
        storage = clone(store.frames.storage, f"memory://{uuid4().hex}")
        if max_shards > 1:
            compact(storage, max_shards)
        frames = Frames(storage)
        assert inventory(frames) == inventory(whole)
        assert store_certificate(frames) == store_certificate(whole)
        assert "manifest" not in vars(frames)


def test_a_sum_over_a_store_that_lost_something_is_refused(store: Store) -> None:
    storage = clone(store.frames.storage, f"memory://{uuid4().hex}")
    storage.delete("manifest/000001.parquet")
    for sums in (inventory, store_certificate):
        with pytest.raises(CorruptDataError, match=r"manifest/000001\.parquet is missing"):
            sums(Frames(storage))


def test_shard_indexes_are_kept_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softstore.frames._INDEXES", 2)
    corpus = make_corpus(tmp_path, LENGTHS)
    counted, backend = watched(corpus.frames.storage)
    frames = Frames(counted)
    first = [int(row["first_frame"]) for row in frames.manifest.table.to_pylist()]
    backend.reads.clear()
    for _ in range(2):
        for frame in (first[0], first[0], first[-1]):
            frames.read("labels", frame, 1)
    assert len(backend.reads) == 6 + 2
    for frame in (0, 512, 1024, 0):
        frames.read("labels", frame, 1)
    assert len(backend.reads) == 8 + 4 + 3
    assert len(Corpus(frames)) == len(LENGTHS)
