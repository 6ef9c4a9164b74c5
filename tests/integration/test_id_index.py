"""The index of ids: it finds what the manifest says; stale, damaged or half written it never lies."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from pathlib import Path
from uuid import uuid4

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import softstore
from softstore import Corpus, indexing
from softstore.codecs import TopK, TrackSpec
from softstore.compact import compact
from softstore.copy import copy
from softstore.errors import ConflictError, CorruptDataError, NotFoundError, StorageError
from softstore.format import Attributes, IdIndex, id_bucket
from softstore.frames import Frames
from softstore.generate import generate
from softstore.id_index import bucket_to_bytes, read_bucket
from softstore.indexing import is_due, write_index
from softstore.parts import read_attributes
from softstore.repair import repair
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from softstore.writer import Writer, create, update_attributes
from tests.samples import LinearTeacher, make_corpus, make_store
from tests.service import serving
from tests.watched import KilledError, clone, contents, watched
from tests.web_server import web_server

ATTRIBUTES = Attributes(
    kind="corpus",
    class_count=10,
    shard_frames=16,
    chunk_frames=8,
    tracks={"labels": TrackSpec("uint16")},
)


def empty() -> Storage:
    return open_storage(f"memory://{uuid4().hex}")


def publish(storage: Storage, shards: list[list[str]], first: int = 0) -> None:
    """Utterances of one frame, labelled with the number of their shard."""
    writer = Writer(storage, read_attributes(storage))
    writer.allocate(first + len(shards))
    for shard, ids in enumerate(shards, first):
        rows = [
            {"utterance_id": name, "num_frames": 1, "speaker": "s", "split": "train", "text": name[::-1]}
            for name in ids
        ]
        assert writer.write_shard(shard, rows, {"labels": np.full(len(ids), shard % 10, np.uint16)})
    writer.finish()


def stored(shards: list[list[str]]) -> Storage:
    storage = empty()
    create(storage, ATTRIBUTES)
    publish(storage, shards)
    return storage


def numbered(shards: range) -> list[list[str]]:
    return [[f"u{shard}-{n}" for n in range(shard % 3 + 1)] for shard in shards]


def check(storage: Storage) -> None:
    """What is found one by one is what lies in the manifest, and nothing else is found."""
    manifest, corpus = Frames(storage).manifest, Corpus(Frames(storage))
    assert len(corpus) == len(manifest)
    for row in manifest.table.to_pylist():
        utterance = corpus[row["utterance_id"]]
        assert utterance.row == row
        assert utterance.labels().tolist() == [row["shard"] % 10] * row["num_frames"]
    for name in ("", "u", "u0-0 ", "\ud800", "ü", "x" * 1000):
        assert (name in corpus) == (name in manifest)
    if corpus.attributes.id_index is not None:
        assert "manifest" not in vars(corpus.frames)


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.lists(IDS, min_size=1, max_size=16)))
@settings(max_examples=40, deadline=None)
def test_any_text_is_found(shards: list[list[str]]) -> None:
    seen: set[str] = set()
    different = [[name for name in ids if not (name in seen or seen.add(name))] for ids in shards]  # type: ignore[func-returns-value]
    storage = stored([ids for ids in different if ids])
    write_index(storage, read_attributes(storage))
    check(storage)
    compact(storage, 2)
    check(storage)


def test_ids_with_one_checksum_are_told_apart() -> None:
    # A CRC gives similar texts different checksums, so these are anything but similar.
    names = np.array([hashlib.sha256(str(n).encode()).hexdigest() for n in range(300_000)])
    checksums = np.array([google_crc32c.value(name.encode()) for name in names])
    _, first, counts = np.unique(checksums, return_index=True, return_counts=True)
    alike = [names[checksums == checksums[place]].tolist() for place in first[counts > 1]]
    assert len(alike) > 3
    (here, there), *others = alike
    storage = stored([[here, *others[0]], ["between"], [there, others[1][0]]])
    write_index(storage, read_attributes(storage))
    check(storage)
    assert others[1][1] not in Corpus(Frames(storage))


def test_many_ids_lie_in_many_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BUCKET_ENTRIES", 8)
    monkeypatch.setattr(indexing, "_BUCKETS_AT_ONCE", 4)
    monkeypatch.setattr(indexing, "_BLOCK", 5)
    storage = stored(numbered(range(90)))
    index = write_index(storage, read_attributes(storage))
    assert (index.buckets, index.utterances, index.shards) == (32, 180, [(0, 89)])
    sizes = [len(read_bucket(storage, index, bucket)) for bucket in range(32)]
    assert sum(sizes) == 180
    assert max(sizes) < 20
    check(storage)
    assert verify(storage).sound


def test_no_room_for_the_entries_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = stored(numbered(range(3)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"in a temporary file .*TMPDIR"):
        write_index(storage, read_attributes(storage))
    check(storage)


def test_an_utterance_costs_the_root_a_bucket_and_a_part() -> None:
    storage = stored(numbered(range(300)))
    assert compact(storage).indexed == 600
    counted, backend = watched(storage)
    corpus = Corpus(Frames(counted))
    index = corpus.attributes.id_index
    assert index is not None
    assert len(corpus) == 600
    assert "u100-0" in corpus
    assert backend.reads == ["zarr.json", id_bucket(index, 0), "manifest/000096-000127.parquet"]
    assert corpus["u100-1"].labels().tolist() == [0]
    assert corpus["u101-2"].labels().tolist() == [1]
    assert backend.reads[3:] == ["labels/c/100"] * 2 + ["labels/c/101"] * 2


def test_what_came_later_is_found_too() -> None:
    storage = stored(numbered(range(10)))
    compact(storage, 4)
    write_index(storage, read_attributes(storage))
    publish(storage, numbered(range(10, 15)), first=10)
    check(storage)
    # A part that holds both.
    compact(storage, 4)
    assert (8, 11) in read_attributes(storage).compacted
    check(storage)
    assert verify(storage).sound
    # A shard in between that somebody publishes late.
    Writer(storage, read_attributes(storage)).allocate(20)
    publish(storage, numbered(range(18, 20)), first=18)
    index = write_index(storage, read_attributes(storage))
    assert index.shards == [(0, 14), (18, 19)]
    publish(storage, numbered(range(16, 17)), first=16)
    check(storage)


def test_it_is_written_now_and_then() -> None:
    def covering(*shards: tuple[int, int]) -> IdIndex:
        return IdIndex(name="00000000", buckets=1, shards=list(shards), utterances=1)

    assert not is_due(None, 256)
    assert is_due(None, 257)
    assert not is_due(covering((0, 256)), 513)
    assert is_due(covering((0, 256)), 514)
    assert not is_due(covering((0, 99_999), (100_001, 160_000)), 170_000)
    assert is_due(covering((0, 99_999), (100_001, 160_000)), 170_001)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_moment_everything_is_found(monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    monkeypatch.setattr("softstore.compact._MERGES", 2)
    monkeypatch.setattr(indexing, "_UNCOVERED", 3)
    monkeypatch.setattr(indexing, "BUCKET_ENTRIES", 8)
    # An index is there already, and parts were added since.
    before = stored(numbered(range(5)))
    compact(before, 2)
    publish(before, numbered(range(5, 11)), first=5)
    whole = clone(before, f"memory://{uuid4().hex}")
    assert compact(whole, 2).indexed == 21
    index = read_attributes(whole).id_index
    assert index is not None
    assert index.shards == [(0, 10)]
    step = 0
    while True:
        step += 1
        storage = clone(before, f"memory://{uuid4().hex}")
        dying, _ = watched(storage, dies_at=step, after=after)
        try:
            compact(dying, 2)
        except KilledError:
            check(storage)
            assert not any(fault.kind == "index" for fault in verify(storage).faults)
            compact(storage, 2)
            assert contents(storage) == contents(whole)
        else:
            break
    assert step > 15


def test_who_reads_while_it_is_written_anew_reads_on() -> None:
    storage = stored(numbered(range(8)))
    compact(storage, 2)
    write_index(storage, read_attributes(storage))
    corpus = Corpus(Frames(storage))
    assert "u1-0" in corpus
    publish(storage, numbered(range(8, 12)), first=8)
    for max_shards in (4, 64):
        write_index(storage, read_attributes(storage))
        compact(storage, max_shards)
        for shard in range(8):
            assert corpus[f"u{shard}-0"].labels().tolist() == [shard]
        assert "u99-0" not in corpus
        assert len(corpus) == 15


def test_a_store_that_is_not_compacted_in_turn_says_what_is_gone() -> None:
    storage = stored(numbered(range(8)))
    compact(storage, 4)
    write_index(storage, read_attributes(storage))
    storage.delete("manifest/000004-000007.parquet")
    corpus = Corpus(Frames(storage))
    assert "u1-0" in corpus
    with pytest.raises(CorruptDataError, match=r"no manifest part of shards 4 … 7.*softstore verify"):
        corpus["u5-0"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "of another store"])
def test_a_damaged_bucket_is_told_and_dropped(damage: str) -> None:
    storage = stored(numbered(range(8)))
    index = write_index(storage, read_attributes(storage))
    path = id_bucket(index, 0)
    data = storage.get(path)
    if damage == "missing":
        storage.delete(path)
    elif damage == "of another store":
        storage.put(path, bucket_to_bytes(read_bucket(storage, index, 0)[1:]))
    else:
        storage.put(path, data[:-8] if damage == "cut" else bytes([data[0] ^ 1]) + data[1:])
    if damage != "of another store":
        with pytest.raises(CorruptDataError, match=path):
            Corpus(Frames(storage))["u1-0"]
        with pytest.raises(CorruptDataError, match=path):
            copy(storage, empty())
    report = verify(storage)
    assert [(fault.kind, fault.path) for fault in report.faults] == [("index", path)]
    assert "softstore compact" in report.faults[0].message
    repair(storage, report)
    assert read_attributes(storage).id_index is None
    assert verify(storage).sound
    assert not any(path.startswith("manifest/ids/") for path in contents(storage))
    check(storage)


def test_a_root_that_claims_too_much_is_told() -> None:
    storage = stored(numbered(range(8)))
    index = write_index(storage, read_attributes(storage))
    update_attributes(storage, {"id_index": index.model_copy(update={"utterances": 99})})
    assert [fault.kind for fault in verify(storage).faults] == ["index"]


def test_an_index_that_nobody_asks_for_is_swept() -> None:
    storage = stored(numbered(range(8)))
    write_index(storage, read_attributes(storage))
    update_attributes(storage, {"id_index": None})
    report = verify(storage)
    assert report.sound
    assert [orphan.path.split("/")[:2] for orphan in report.orphans] == [["manifest", "ids"]]
    assert compact(storage, 2).deleted == 8 + 1
    assert not verify(storage).orphans


def test_an_utterance_that_is_there_twice_is_told() -> None:
    storage = stored([["a", "b"], ["c"], ["b"]])
    write_index(storage, read_attributes(storage))
    corpus = Corpus(Frames(storage))
    assert corpus["a"].labels().tolist() == [0]
    with pytest.raises(CorruptDataError, match="utterance 'b' twice"):
        corpus["b"]


def test_repaired_and_filled_again_everything_is_found() -> None:
    lengths = {"a": 100, "b": 300, "c": 200, "d": 64, "e": 512, "f": 130}
    source = make_corpus(f"memory://{uuid4().hex}", lengths)
    store = make_store(f"memory://{uuid4().hex}", source)
    storage, rows = store.frames.storage, store.manifest.table.to_pylist()
    compact(storage)
    write_index(storage, read_attributes(storage))
    storage.delete("features/c/1/0")
    report = verify(storage, sample=0)
    reader = type(store)(Frames(storage))
    assert "c" in reader
    repair(storage, report)
    index = read_attributes(storage).id_index
    assert index is not None
    assert (index.shards, index.utterances) == ([(0, 0), (2, 3)], 4)
    assert verify(storage).sound
    cut = type(store)(Frames(storage))
    assert [name in cut for name in lengths] == [True, True, False, False, True, True]
    assert len(cut) == 4
    # Other utterances come into the shard that was made anew, and those that were in it elsewhere.
    small = make_corpus(f"memory://{uuid4().hex}", {"new": 512})
    for corpus in (small, source):
        generate(corpus, LinearTeacher(), storage, TopK(k=16), shard_frames=512, chunk_frames=64)
    again = type(store)(Frames(storage))
    assert again["new"].row["shard"] == 1
    assert again["c"].row["shard"] == 4
    assert len(again) == 7
    for row in rows:
        assert again[row["utterance_id"]].row["features_crc32c"] == row["features_crc32c"]
    write_index(storage, read_attributes(storage))
    assert len(type(store)(Frames(storage))) == 7
    assert verify(storage).sound


def test_a_store_whose_index_was_dropped_must_be_opened_again() -> None:
    storage = stored(numbered(range(8)))
    compact(storage, 4)
    write_index(storage, read_attributes(storage))
    corpus = Corpus(Frames(storage))
    update_attributes(storage, {"id_index": None})
    compact(storage, 8)
    with pytest.raises(ConflictError, match="open it again"):
        corpus["u5-0"]


def test_a_copy_has_it_too_and_is_never_half_a_one() -> None:
    few = stored(numbered(range(6)))
    compact(few, 2)
    write_index(few, read_attributes(few))
    more = clone(few, f"memory://{uuid4().hex}")
    publish(more, numbered(range(6, 9)), first=6)
    write_index(more, read_attributes(more))
    compact(more, 4)
    before = empty()
    copy(few, before)
    assert contents(before) == contents(few)
    step = 0
    while True:
        step += 1
        place = clone(before, f"memory://{uuid4().hex}")
        dying, _ = watched(place, dies_at=step)
        try:
            copy(more, dying)
        except KilledError:
            check(place)
            copy(more, place)
        else:
            break
        assert contents(place) == contents(more)
    assert step > 5
    with pytest.raises(ConflictError, match="other shards"):
        copy(few, place)


def test_a_web_server_will_do(tmp_path: Path) -> None:
    source = stored(numbered(range(30)))
    compact(source, 8)
    write_index(source, read_attributes(source))
    publish(source, numbered(range(30, 32)), first=30)
    clone(source, tmp_path)
    with web_server(tmp_path) as url:
        check(open_storage(url))
        corpus = Corpus(Frames(open_storage(url)))
        with pytest.raises(NotFoundError, match="no utterance 'nobody'"):
            corpus["nobody"]


def test_a_served_store_has_it_too(tmp_path: Path) -> None:
    lengths = {"a": 100, "b": 300, "c": 200, "d/d": 64, "e": 512, "f": 130}
    store = make_store(tmp_path, make_corpus(f"memory://{uuid4().hex}", lengths))
    storage = store.frames.storage
    compact(storage, 2)
    index = write_index(storage, read_attributes(storage))
    with serving({"demo": store.url}) as client:
        objects = "/v1/stores/demo/objects"
        bucket = client.get(f"{objects}/{id_bucket(index, 0)}")
        assert bucket.content == storage.get(id_bucket(index, 0))
        assert "immutable" in bucket.headers["Cache-Control"]
        remote = softstore.open(f"{client.base_url}{objects}")
        for name in lengths:
            np.testing.assert_array_equal(remote[name].posteriors(), store[name].posteriors())
        assert len(remote) == len(lengths)
        assert "manifest" not in vars(remote.frames)


def test_it_travels_to_another_process(tmp_path: Path) -> None:
    storage = clone(stored(numbered(range(30))), tmp_path)
    write_index(storage, read_attributes(storage))
    frames = Frames(storage)
    assert "u7-0" in frames.lookup
    there = pickle.loads(pickle.dumps(frames))  # noqa: S301
    assert there.lookup.row("u7-1") == frames.lookup.row("u7-1")
