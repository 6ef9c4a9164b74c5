"""Scans, threads, processes, and how many requests reading costs."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.codecs import TrackSpec
from softstore.errors import CorruptDataError
from softstore.format import FEATURES, LABELS, Attributes
from softstore.frames import Frames
from softstore.remote_objects import RemoteObjects
from softstore.storage import Backend, open_storage
from softstore.utterance import StoredUtterance
from softstore.writer import create
from tests.samples import LENGTHS


class CountingBackend:
    """Another backend's reads, counted by object."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.reads: Counter[str] = Counter()

    def get(self, path: str) -> bytes:
        return self.backend.get(path)

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        self.reads[path] += 1
        return self.backend.get_range(path, start, length)

    def size(self, path: str) -> int:
        return self.backend.size(path)

    def put(self, path: str, data: bytes) -> None: ...
    def delete(self, path: str) -> None: ...

    def move(self, path: str, target: str) -> None: ...

    def create(self, path: str, data: bytes) -> bool:
        return False

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        return False

    def walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        return self.backend.walk(prefix)

    def children(self, prefix: str) -> list[str]:
        return self.backend.children(prefix)


def counted(url: str) -> tuple[Store, Counter[str]]:
    storage = open_storage(url)
    counting = CountingBackend(storage.backend)
    return Store(Frames(replace(storage, backend=counting))), counting.reads


def everything(utterance: StoredUtterance) -> list[bytes]:
    encoded = [rows.numpy().tobytes() for rows in utterance.encoded().values()]
    return [
        utterance.features().tobytes(),
        utterance.labels().tobytes(),
        utterance.posteriors(2.0).tobytes(),
        *encoded,
    ]


def test_a_scan_is_what_item_by_item_reading_gives_bit_for_bit(store: Store) -> None:
    alone = {utterance_id: everything(store[utterance_id]) for utterance_id in LENGTHS}
    assert {u.utterance_id: everything(u) for u in store.scan()} == alone
    kept = list(store.scan(split="train"))
    assert {u.utterance_id: everything(u) for u in kept}.items() <= alone.items()
    assert len(kept) == 6


def test_a_span_costs_one_request_per_array_once_its_shard_index_is_known(store: Store) -> None:
    opened, reads = counted(store.url)
    opened["b"].encoded(10, 20)
    arrays = {f"targets/{name}/c/0/0" for name in opened.codec.tracks(opened.class_count)}
    assert reads == dict.fromkeys(arrays, 2)
    reads.clear()
    opened["a"].encoded()
    opened["b"].encoded(63, 257)
    assert reads == dict.fromkeys(arrays, 2)


def test_a_scan_costs_one_request_per_array_and_run_and_none_for_what_is_not_read(store: Store) -> None:
    opened, reads = counted(store.url)
    assert len(list(opened.scan())) == len(LENGTHS)
    assert not reads
    for utterance in opened.scan():
        utterance.labels()
    first, *later = opened.manifest.shards
    in_first = len(opened.manifest.where(shard=first))
    assert reads == {f"labels/c/{first}": 1 + in_first} | {f"labels/c/{shard}": 2 for shard in later}


def test_a_damaged_object_spoils_a_scan_only_where_it_is_damaged(own_store: Store) -> None:
    path = Path(own_store.url) / "labels/c/1"
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    whole, damaged = set(), {}
    for utterance in open_store(own_store.url).scan():
        try:
            utterance.labels()
            whole.add(utterance.utterance_id)
        except CorruptDataError as error:
            damaged[utterance.utterance_id] = str(error)
    # The first byte lies in the first chunk of 64 frames, which the first utterance of the shard begins.
    assert list(damaged) == own_store.manifest.where(shard=1)["utterance_id"].to_pylist()[:1]
    assert all("labels/c/1" in message for message in damaged.values())
    assert whole == set(LENGTHS) - set(damaged)


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_truncated_object_is_an_error_with_both_sizes(own_store: Store, keep: float) -> None:
    path = Path(own_store.url) / "features/c/0/0"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep == 0.5 else int(keep)])
    with pytest.raises(CorruptDataError, match=r"features/c/0/0 .*(truncated to|damaged)"):
        open_store(own_store.url)["a"].features()


def test_threads_share_a_store(store: Store) -> None:
    alone = {utterance_id: everything(store[utterance_id]) for utterance_id in LENGTHS}
    opened = open_store(store.url)
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        order = np.random.default_rng(number).permutation(list(LENGTHS)).tolist()
        assert all(everything(opened[utterance_id]) == alone[utterance_id] for utterance_id in order)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_a_store_travels_to_a_spawned_process(store: Store) -> None:
    store["a"].features()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(StoredUtterance.posteriors, (store["b"], 2.0))
        found = pool.apply(Store.__getitem__, (store, "c"))
    np.testing.assert_array_equal(there, store["b"].posteriors(2.0))
    assert everything(found) == everything(store["c"])


def test_chunks_side_by_side_and_blocks_of_frames(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    storage = open_storage(tmp_path / "corpus", writable=True)
    tracks = {FEATURES: TrackSpec("int8", 12, chunk_width=4), LABELS: TrackSpec("uint16")}
    writer = create(
        storage,
        Attributes(
            kind="corpus", class_count=9, shard_frames=64, chunk_frames=16, block_frames=4, tracks=tracks
        ),
    )
    writer.allocate(2)
    rows: dict[str, np.ndarray] = {}
    for shard, lengths in enumerate([(5, 8, 30), (1, 58)]):
        ids = [f"{shard}-{frames}" for frames in lengths]
        rows |= {
            i: random.integers(-99, 99, (n, 12)).astype("int8") for i, n in zip(ids, lengths, strict=True)
        }
        named = [
            {"utterance_id": i, "num_frames": n, "speaker": "s", "split": "train", "text": ""}
            for i, n in zip(ids, lengths, strict=True)
        ]
        features = np.concatenate([rows[i] for i in ids])
        writer.write_shard(shard, named, {FEATURES: features, LABELS: np.arange(sum(lengths)) % 9})
    writer.finish()
    corpus = Corpus.open(tmp_path / "corpus")
    scanned = {u.utterance_id: u.read(FEATURES) for u in corpus.scan()}
    assert scanned.keys() == rows.keys()
    for utterance_id, wanted in rows.items():
        np.testing.assert_array_equal(scanned[utterance_id], wanted)
        np.testing.assert_array_equal(corpus[utterance_id].read(FEATURES, 1, None), wanted[1:])


class WaitingBackend(RemoteObjects):
    """A remote storage, to all appearances, whose reads are answered three at a time."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.together = threading.Barrier(3)

    def get(self, path: str) -> bytes:
        return self.backend.get(path)

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        self.together.wait(timeout=20)
        return self.backend.get_range(path, start, length)


def test_tracks_of_a_remote_storage_are_read_at_the_same_time(store: Store) -> None:
    storage = open_storage(store.url)
    remote = Store(Frames(replace(storage, backend=WaitingBackend(storage.backend))))
    assert len(remote.codec.tracks(remote.class_count)) == 3
    np.testing.assert_array_equal(remote["b"].posteriors(), store["b"].posteriors())
