"""Objects that are whole and of the right size, but another shard's, or another utterance's."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from softstore.codecs import TrackSpec
from softstore.format import FEATURES, LABELS, Attributes, manifest_part
from softstore.parts import part_to_bytes, read_part
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from softstore.writer import create

UTTERANCES = {"a": 20, "b": 5, "c": 7}
"""Frames of each; longer than a chunk, one that begins within a chunk, and one that ends within."""

FEATURE_OBJECTS = "features/c/0/0", "features/c/1/0"
LABEL_OBJECTS = "labels/c/0", "labels/c/1"


@pytest.fixture
def storage() -> Storage:
    """Two shards of three utterances each; the shards' objects are equally long, piece by piece."""
    storage = open_storage(f"memory://{uuid4().hex}", writable=True)
    writer = create(
        storage,
        Attributes(
            kind="corpus",
            class_count=10,
            shard_frames=64,
            chunk_frames=8,
            tracks={FEATURES: TrackSpec("float16", 3), LABELS: TrackSpec("uint16")},
        ),
    )
    writer.allocate(2)
    for shard in (0, 1):
        rows = [
            {"utterance_id": f"{name}{shard}", "num_frames": frames} for name, frames in UTTERANCES.items()
        ]
        frames = sum(UTTERANCES.values())
        features = np.full((frames, 3), 1 + shard, np.float16)
        writer.write_shard(shard, rows, {FEATURES: features, LABELS: np.full(frames, 1 + shard, np.uint16)})
    writer.finish()
    assert verify(storage).sound
    return storage


def swap(storage: Storage, left: str, right: str) -> None:
    first, second = storage.get(left), storage.get(right)
    assert first != second
    assert len(first) == len(second)
    storage.put(left, second)
    storage.put(right, first)


def list_swapped(storage: Storage, left: str, right: str) -> None:
    """Swap the checksums of two objects of equal size in the manifest."""
    tables = [read_part(storage, (shard, shard)) for shard in (0, 1)]
    parts = [table.to_pylist() for table in tables if table is not None]
    one, other = (
        next(entry for entry in rows[0]["objects"] if entry["path"] == path)
        for rows, path in zip(parts, (left, right), strict=True)
    )
    one["sha256"], other["sha256"] = other["sha256"], one["sha256"]
    for shard, (rows, table) in enumerate(zip(parts, tables, strict=True)):
        assert table is not None
        part = pa.Table.from_pylist(rows, table.schema)
        storage.put(manifest_part(shard, shard), part_to_bytes(part))


@pytest.mark.parametrize("paths", [FEATURE_OBJECTS, LABEL_OBJECTS])
def test_objects_of_equal_size_that_were_swapped(storage: Storage, paths: tuple[str, str]) -> None:
    swap(storage, *paths)
    report = verify(storage)
    assert [(fault.kind, fault.path, fault.shard) for fault in report.faults] == [
        ("object", paths[0], 0),
        ("object", paths[1], 1),
    ]
    assert all("do not match their checksum" in fault.message for fault in report.faults)


def test_features_of_other_utterances_that_the_manifest_lists(storage: Storage) -> None:
    swap(storage, *FEATURE_OBJECTS)
    list_swapped(storage, *FEATURE_OBJECTS)
    report = verify(storage)
    assert [(fault.kind, fault.path, fault.shard) for fault in report.faults] == [
        ("object", FEATURE_OBJECTS[0], 0),
        ("object", FEATURE_OBJECTS[1], 1),
    ]
    assert "the features of utterance 'a0'" in report.faults[0].message


@pytest.mark.parametrize("number", range(len(UTTERANCES)))
def test_every_utterances_features_are_held_against_its_checksum(storage: Storage, number: int) -> None:
    table = read_part(storage, (1, 1))
    assert table is not None
    for wrong in (7, None):
        rows = table.to_pylist()
        rows[number]["features_crc32c"] = wrong
        storage.put(manifest_part(1, 1), part_to_bytes(pa.Table.from_pylist(rows, table.schema)))
        (fault,) = verify(storage).faults
        assert f"the features of utterance {rows[number]['utterance_id']!r}" in fault.message
