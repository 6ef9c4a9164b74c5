"""Damage is found, repaired as far as it goes, and generation fills the gap with the very same posteriors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from softstore import Corpus, Store
from softstore.checks.report import Report
from softstore.codecs import TopK
from softstore.compact import compact
from softstore.errors import CorruptDataError
from softstore.format import Complete
from softstore.frames import Frames
from softstore.generate import generate
from softstore.parts import part_to_bytes, read_attributes, read_part
from softstore.repair import repair
from softstore.storage import Storage
from softstore.verify import verify
from softstore.writer import update_attributes
from tests.samples import LinearTeacher, make_corpus, make_store
from tests.watched import KilledError, clone, contents, watched

LENGTHS = {"a": 100, "b": 300, "c": 200, "d": 64, "e": 512, "f": 130}
"""In four shards: a b, c d, e, f."""


@pytest.fixture(scope="module")
def source() -> Corpus:
    return make_corpus(f"memory://{uuid4().hex}", LENGTHS)


@pytest.fixture(scope="module")
def whole(source: Corpus) -> Store:
    return make_store(f"memory://{uuid4().hex}", source)


@pytest.fixture(params=["as generated", "compacted", "compacted by twos"])
def own(request: pytest.FixtureRequest, whole: Store) -> Storage:
    """The same store, to be damaged."""
    storage = clone(whole.frames.storage, f"memory://{uuid4().hex}")
    if request.param != "as generated":
        compact(storage, 2 if "twos" in request.param else 64)
    return storage


def flip(storage: Storage, path: str) -> None:
    data = bytearray(storage.get(path))
    data[len(data) // 2] ^= 1
    storage.put(path, bytes(data))


def repaired(storage: Storage) -> Report:
    report = verify(storage, sample=0)
    repair(storage, report)
    return report


def fill(storage: Storage, source: Corpus) -> int:
    return generate(
        source, LinearTeacher(), storage, TopK(k=16), shard_frames=512, chunk_frames=64
    ).utterances


def the_same(storage: Storage, whole: Store) -> bool:
    found = Store(Frames(storage))
    assert sorted(found.manifest.table["utterance_id"].to_pylist()) == sorted(LENGTHS)
    for utterance in whole.scan():
        other = found[utterance.utterance_id]
        np.testing.assert_array_equal(other.posteriors(2.0), utterance.posteriors(2.0))
        np.testing.assert_array_equal(other.features(), utterance.features())
    return True


def lose_objects(storage: Storage) -> None:
    flip(storage, "targets/classes/c/1/0")
    storage.delete("features/c/2/0")


def lose_a_part(storage: Storage) -> None:
    path = next(path for path, _ in storage.walk("manifest") if path.endswith(".parquet"))
    storage.delete(path)


def damage_every_part(storage: Storage) -> None:
    for path in [path for path, _ in storage.walk("manifest") if path.endswith(".parquet")]:
        flip(storage, path)


def damage_the_last_shard(storage: Storage) -> None:
    storage.put("labels/c/3", storage.get("labels/c/3")[:-1])


@pytest.mark.parametrize("damage", [lose_objects, lose_a_part, damage_every_part, damage_the_last_shard])
def test_what_is_damaged_is_re_opened_and_generated_again(
    own: Storage, whole: Store, source: Corpus, damage: Callable[[Storage], None]
) -> None:
    damage(own)
    report = repaired(own)
    assert not report.sound
    assert report.reopen == report.damaged
    after = verify(own)
    assert (after.faults, after.orphans) == ([], [])
    lost = len(LENGTHS) - after.checked.utterances
    # Who opens it meanwhile reads what there is.
    assert len(Store(Frames(own))) == after.checked.utterances
    assert fill(own, source) == lost > 0
    assert verify(own).sound
    complete = read_attributes(own).complete
    assert complete == Complete(shards=4, utterances=6, frames=sum(LENGTHS.values()))
    assert the_same(own, whole)
    compact(own)
    assert the_same(own, whole)


def test_nothing_that_was_sound_is_touched(own: Storage) -> None:
    before = contents(own)
    lose_objects(own)
    repaired(own)
    after = contents(own)
    assert {path.split("/")[-2] for path in before.keys() - after.keys() if path.endswith("/0")} == {"1", "2"}
    for path in before.keys() & after.keys():
        if path.startswith(("targets/", "features/", "labels/", "codec/")):
            assert after[path] == before[path]


def test_killed_at_any_moment_the_next_repair_finishes(own: Storage, whole: Store, source: Corpus) -> None:
    lose_objects(own)
    steps = 0
    while True:
        steps += 1
        storage = clone(own, f"memory://{uuid4().hex}")
        dying, _ = watched(storage, dies_at=steps)
        report = verify(dying, sample=0)
        try:
            repair(dying, report)
        except KilledError:
            # What is not damaged can be read at any moment.
            assert {"a", "b", "f"} <= set(Frames(storage).manifest.table["utterance_id"].to_pylist())
            repaired(storage)
            found = verify(storage, sample=0)
            assert (found.faults, found.orphans) == ([], [])
            assert read_attributes(storage).complete == Complete(shards=1, utterances=3, frames=530)
            if steps % 5 == 0:
                assert fill(storage, source) == 3
                assert the_same(storage, whole)
        else:
            break
    assert steps > 10


def test_what_a_stopped_compaction_left_does_not_come_back(whole: Store, source: Corpus) -> None:
    storage = clone(whole.frames.storage, f"memory://{uuid4().hex}")
    part = storage.get("manifest/000001.parquet")
    compact(storage)
    storage.put("manifest/000001.parquet", part)
    assert [orphan.path for orphan in verify(storage).orphans] == ["manifest/000001.parquet"]
    lose_objects(storage)
    repaired(storage)
    assert verify(storage).checked.utterances == 3
    assert fill(storage, source) == 3
    assert the_same(storage, whole)


def overwritten(whole: Store, changes: dict[str, object]) -> Storage:
    """Compacted, while a writer put back the root that it had read before."""
    storage = clone(whole.frames.storage, f"memory://{uuid4().hex}")
    update_attributes(storage, changes)
    root = storage.get("zarr.json")
    compact(storage)
    storage.put("zarr.json", root)
    return storage


@pytest.mark.parametrize("changes", [{}, {"complete": None}], ids=["finished", "unfinished"])
def test_a_merged_part_that_the_root_does_not_list_is_listed_again(
    whole: Store, changes: dict[str, object]
) -> None:
    storage = overwritten(whole, changes)
    report = verify(storage)
    assert (report.reopen, report.orphans, report.unlisted) == (set(), [], [(0, 3)])
    assert "does not list manifest/000000-000003.parquet" in report.faults[0].message
    repair(storage, report)
    assert report.repaired == ["Listed manifest/000000-000003.parquet in zarr.json again."]
    assert read_attributes(storage).compacted == [(0, 3)]
    after = verify(storage)
    assert (after.faults, after.orphans) == ([], [])
    assert the_same(storage, whole)


def test_of_a_merged_part_that_is_not_listed_only_damaged_shards_are_re_opened(
    whole: Store, source: Corpus
) -> None:
    storage = overwritten(whole, {})
    lose_objects(storage)
    steps = 0
    while True:
        steps += 1
        dying, _ = watched(clone(storage, f"memory://{uuid4().hex}"), dies_at=steps)
        report = verify(dying, sample=0)
        assert report.reopen == {1, 2}
        try:
            repair(dying, report)
        except KilledError:
            repaired(dying_storage := clone(dying, f"memory://{uuid4().hex}"))
            assert verify(dying_storage).checked.utterances == 3
        else:
            break
    assert steps > 5
    assert verify(dying).sound
    assert fill(clone(dying, f"memory://{uuid4().hex}"), source) == 3


def test_a_merged_part_whose_parts_were_deleted_in_part(whole: Store) -> None:
    storage = overwritten(whole, {})
    storage.put("manifest/000003.parquet", whole.frames.storage.get("manifest/000003.parquet"))
    storage.put("manifest/000000-000002.parquet", b"unused")
    repaired(storage)
    assert contents(storage).keys() & {"manifest/000003.parquet", "manifest/000000-000002.parquet"} == set()
    assert verify(storage).sound
    assert the_same(storage, whole)


def test_a_merged_part_that_is_damaged_or_says_otherwise_is_not_listed(whole: Store) -> None:
    storage = overwritten(whole, {})
    flip(storage, "manifest/000000-000003.parquet")
    assert verify(storage).unlisted == []
    storage = overwritten(whole, {})
    table = read_part(whole.frames.storage, (3, 3))
    assert table is not None
    speakers = pa.array(["another"] * len(table))
    other = table.set_column(table.column_names.index("speaker"), "speaker", speakers)
    storage.put("manifest/000003.parquet", part_to_bytes(other))
    assert verify(storage).unlisted == []


def test_a_merged_part_of_a_corpus_is_listed_again(source: Corpus) -> None:
    storage = clone(source.frames.storage, f"memory://{uuid4().hex}")
    root = storage.get("zarr.json")
    compact(storage, 2)
    storage.put("zarr.json", root)
    repaired(storage)
    assert read_attributes(storage).compacted == [(0, 1), (2, 3)]
    assert verify(storage).sound


def test_metadata_is_rewritten(own: Storage) -> None:
    before = contents(own)
    flip(own, "targets/zarr.json")
    own.delete("labels/zarr.json")
    own.put("zarr.json", own.get("zarr.json") + b"\n")
    report = repaired(own)
    assert [fault.kind for fault in report.faults] == ["metadata", "metadata", "root"]
    assert contents(own) == before


def test_what_cannot_be_repaired_stays_and_says_what_to_do(own: Storage) -> None:
    root = own.get("zarr.json")
    own.put("zarr.json", root.replace(b'"class_count":120', b'"class_count":121'))
    before = contents(own)
    report = repaired(own)
    assert [fault.kind for fault in report.faults] == ["root"]
    assert "Restore it from a copy" in report.faults[0].message
    assert contents(own) == before


def test_a_damaged_corpus_is_not_re_opened(tmp_path: Path, source: Corpus) -> None:
    storage = clone(source.frames.storage, tmp_path / "corpus")
    flip(storage, "features/c/1/0")
    storage.delete("manifest/000002.parquet")
    storage.put("manifest/000009-000011.parquet", b"unused")
    before = contents(storage)
    report = repaired(storage)
    assert [(fault.kind, fault.shard) for fault in report.faults] == [("part", 2), ("object", 1)]
    assert all("make the corpus anew" in fault.message for fault in report.faults)
    # What may still be of use to whoever has the part is kept.
    assert before.keys() - contents(storage).keys() == {"manifest/000009-000011.parquet"}
    with pytest.raises(CorruptDataError):
        _ = Frames(storage).manifest
