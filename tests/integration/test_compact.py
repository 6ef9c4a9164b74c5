"""Merging manifest parts: nothing is lost at any moment, and many shards open with few requests."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from softstore import open as open_store
from softstore.cli import build
from softstore.codecs import TopK, TrackSpec
from softstore.compact import compact
from softstore.errors import ConflictError, CorruptDataError
from softstore.format import Attributes
from softstore.frames import Frames
from softstore.generate import generate
from softstore.manifest import Manifest
from softstore.parts import read_attributes, read_manifest
from softstore.storage import Storage, open_storage
from softstore.writer import Writer, create
from tests.samples import LENGTHS, LinearTeacher, make_corpus, make_store
from tests.watched import KilledError, watched

ATTRIBUTES = Attributes(
    kind="corpus",
    class_count=10,
    shard_frames=8,
    chunk_frames=8,
    tracks={"labels": TrackSpec("uint16")},
)


def publish(writer: Writer, shards: range) -> None:
    writer.allocate(shards.stop)
    for shard in shards:
        rows = [{"utterance_id": f"u{shard}", "num_frames": 5, "speaker": "s", "split": "train", "text": ""}]
        labels = np.full(5, shard, np.uint16)
        assert writer.write_shard(shard, rows, {"labels": labels}, {"1": [shard, 1]})


def finished(url: str | Path, shards: int) -> Storage:
    storage = open_storage(url, writable=True)
    writer = create(storage, ATTRIBUTES)
    publish(writer, range(shards))
    writer.finish()
    return storage


def manifest(storage: Storage) -> Manifest:
    return read_manifest(storage, read_attributes(storage))


def parts(storage: Storage) -> list[str]:
    names = (path.removeprefix("manifest/") for path, _ in storage.walk("manifest"))
    return sorted(name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))


def test_what_was_in_the_parts_is_in_the_merged_one(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 7)
    before = manifest(storage)
    done = compact(storage)
    assert (done.shards, done.before, done.after, done.deleted) == (7, 7, 1, 7)
    assert parts(storage) == ["000000-000006"]
    after = manifest(storage)
    assert after.table.to_pylist() == before.table.to_pylist()
    assert (after.shards, after.objects) == (before.shards, before.objects)
    assert after.kl_histogram(1) == before.kl_histogram(1) == [21, 7]
    frames = Frames(storage)
    assert frames.read("labels", 8 * 6, 5).tolist() == [6] * 5


def test_a_second_compaction_changes_nothing(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 5)
    compact(storage, 2)
    assert parts(storage) == ["000000-000001", "000002-000003", "000004"]
    again, backend = watched(storage)
    done = compact(again, 2)
    assert (done.before, done.after, done.deleted, backend.writes) == (3, 3, 0, 0)


def test_a_store_that_has_grown_is_compacted_further(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 4)
    compact(storage)
    writer = Writer(storage, read_attributes(storage))
    publish(writer, range(4, 6))
    writer.finish()
    assert manifest(storage).shards == list(range(6))
    assert (compact(storage).before, parts(storage)) == (3, ["000000-000005"])
    assert len(manifest(storage)) == 6


def test_shards_that_nobody_has_published_stay_outside(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "store", writable=True)
    writer = create(storage, ATTRIBUTES)
    publish(writer, range(3))
    publish(writer, range(4, 6))
    writer.allocate(9)
    assert compact(storage).after == 2
    assert parts(storage) == ["000000-000002", "000004-000005"]
    publish(writer, range(3, 4))
    assert manifest(storage).shards == [0, 1, 2, 3, 4, 5]


def test_a_compacted_shard_is_not_written_again(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 3)
    stale = Writer(storage, read_attributes(storage))
    compact(storage)
    assert not stale.write_shard(1, [], {})
    stale.allocate(5)
    stale.finish()
    assert read_attributes(storage).compacted == [(0, 2)]
    assert len(manifest(storage)) == 3


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("max_shards", [64, 2])
def test_killed_at_any_moment_nothing_is_lost_and_the_next_run_finishes(
    tmp_path: Path, after: bool, max_shards: int
) -> None:
    wanted, step = None, 0
    while True:
        step += 1
        storage = finished(f"memory://{tmp_path}/{step}", 5)
        wanted = wanted or manifest(storage).table.to_pylist()
        dying, _ = watched(storage, dies_at=step, after=after)
        try:
            compact(dying, max_shards)
        except KilledError:
            assert manifest(storage).table.to_pylist() == wanted
            compact(storage, max_shards)
            assert manifest(storage).table.to_pylist() == wanted
            assert parts(storage) == (
                ["000000-000001", "000002-000003", "000004"] if max_shards == 2 else ["000000-000004"]
            )
            assert compact(storage, max_shards).deleted == 0
        else:
            break
    # Each merged part, the root, and every part that was replaced.
    assert step == (1 + 1 + 5 if max_shards == 64 else 2 + 1 + 4) + 1


def test_a_store_of_many_shards_is_read_with_a_request_for_each_part(tmp_path: Path) -> None:
    storage = finished(f"memory://{tmp_path}", 200)
    done = compact(storage)
    assert (done.shards, done.before, done.after) == (200, 200, 7)
    counted, backend = watched(storage)
    assert len(Frames(counted).manifest) == 200
    assert len(backend.reads) == len(set(backend.reads)) == 1 + 7
    assert {"zarr.json", "manifest/000000-000031.parquet", "manifest/000192-000199.parquet"} <= {
        *backend.reads
    }


def test_a_reader_that_knew_the_store_before_reads_on(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 6)
    before = Frames(storage)
    compact(storage, 3)
    assert before.manifest.shards == list(range(6))


def test_a_reader_in_the_middle_of_compactions_misses_nothing(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 9)
    unfinished = read_attributes(storage).model_copy(update={"complete": None})
    compactions = iter([2, 4, 64])
    looked, one = threading.Event(), threading.Lock()
    looked.set()

    def meanwhile(path: str) -> None:
        # After each look at the root, and before any part is read, another compaction takes them away.
        with one:
            if path == "zarr.json":
                looked.set()
            elif looked.is_set():
                looked.clear()
                for max_shards in itertools.islice(compactions, 1):
                    compact(storage, max_shards)

    reading, _ = watched(storage, meanwhile=meanwhile)
    assert read_manifest(reading, unfinished).shards == list(range(9))
    assert parts(storage) == ["000000-000008"]


def test_a_compacted_part_that_is_gone_is_an_error(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 4)
    compact(storage, 2)
    storage.delete("manifest/000002-000003.parquet")
    with pytest.raises(CorruptDataError, match=r"manifest/000002-000003\.parquet is missing"):
        manifest(storage)
    with pytest.raises(CorruptDataError, match=r"manifest/000002-000003\.parquet is missing"):
        compact(storage)


def test_a_damaged_part_is_left_alone(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 4)
    storage.put("manifest/000002.parquet", storage.get("manifest/000002.parquet")[:-9])
    with pytest.raises(CorruptDataError, match=r"manifest/000002\.parquet is damaged"):
        compact(storage)
    assert parts(storage) == ["000000", "000001", "000002", "000003"]


def test_two_compactions_at_once_are_told_apart(tmp_path: Path) -> None:
    storage = finished(tmp_path / "store", 4)
    others = iter([64])

    def meanwhile(path: str) -> None:
        if path.startswith("manifest/"):
            for max_shards in others:
                compact(storage, max_shards)

    slow, _ = watched(storage, meanwhile=meanwhile)
    with pytest.raises((ConflictError, CorruptDataError)):
        compact(slow, 2)
    assert manifest(storage).shards == [0, 1, 2, 3]


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    finished(tmp_path / "store", 3)
    arguments = ["compact", str(tmp_path / "store")]
    said = [CliRunner().invoke(build(), arguments).output for _ in range(2)]
    assert said == [
        "Merged 3 manifest parts into 1: 3 shards. Deleted 3 objects that were replaced.\n",
        "Nothing to merge: 3 shards in 1 manifest part.\n",
    ]


def test_the_help_says_who_may_be_at_work() -> None:
    said = " ".join(CliRunner().invoke(build(), ["compact", "--help"]).output.split())
    assert "read and added to" in said
    assert "only one such run" in said


def test_generation_goes_on_after_compaction(tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "first", LENGTHS)
    more = make_corpus(tmp_path / "more", LENGTHS | {"new": 77, "newer": 400})
    store = make_store(tmp_path / "store", first)
    certificate = store.certificate()
    compact(store.frames.storage)
    assert open_store(store.url).certificate() == certificate
    summary = generate(
        more, LinearTeacher(), store.frames.storage, TopK(k=16), shard_frames=512, chunk_frames=64
    )
    assert summary.utterances == 2
    whole, at_once = open_store(store.url), make_store(tmp_path / "at-once", more)
    assert len(whole) == len(LENGTHS) + 2
    for utterance in whole.scan():
        np.testing.assert_array_equal(
            utterance.posteriors(2.0), at_once[utterance.utterance_id].posteriors(2.0)
        )
