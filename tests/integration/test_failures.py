"""Whatever stops a run or spoils an utterance is said, and running it again makes the store whole."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from softstore import Corpus, Store, filling
from softstore.checks.report import FaultKind
from softstore.cli import build
from softstore.codecs import TopK
from softstore.errors import CorruptDataError, InvalidInputError, StorageError
from softstore.filling import Summary
from softstore.frames import Frames
from softstore.generate import generate
from softstore.parts import read_attributes
from softstore.shard_maker import OnError
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from tests.faults import FaultyProxy, Kind, faulty_proxy
from tests.processes import process, published, softstore, wait_for
from tests.s3 import IMPATIENT
from tests.samples import LENGTHS, LinearTeacher, damaged, make_corpus, make_store
from tests.teachers_by_name import LINEAR
from tests.watched import KilledError, Watched, watched

SMALL = {f"u{number}": 160 + number for number in range(7)}
"""Three shards."""


@dataclass
class Failing(LinearTeacher):
    """Of utterances of these lengths it cannot say anything, and says so in its own way."""

    raises: tuple[int, ...] = ()
    not_finite: tuple[int, ...] = ()

    def log_posteriors(self, features: Tensor) -> Tensor:
        if len(features) in self.raises:
            raise ValueError("no idea")
        found = super().log_posteriors(features)
        return torch.full_like(found, torch.nan) if len(features) in self.not_finite else found


def run(
    corpus: Corpus,
    storage: Storage,
    teacher: LinearTeacher | None = None,
    on_error: OnError = OnError.STOP,
) -> Summary:
    return generate(
        corpus,
        teacher or LinearTeacher(),
        storage,
        TopK(k=16),
        shard_frames=512,
        chunk_frames=64,
        on_error=on_error,
    )


def place(path: Path) -> Storage:
    return open_storage(path, writable=True)


def check_whole(storage: Storage, corpus: Corpus, at_once: Store | None = None) -> None:
    """Sound, nothing staged, no attribute of an unfinished run, and every utterance as in the other store."""
    report = verify(storage, sample=4)
    assert report.sound, report.faults
    assert not report.orphans
    attributes = read_attributes(storage)
    assert attributes.complete is not None
    assert (attributes.complete.utterances, attributes.skipped) == (len(corpus), [])
    found = Store(Frames(storage))
    ids = found.manifest.table["utterance_id"].to_pylist()
    assert sorted(ids) == sorted(corpus.manifest.table["utterance_id"].to_pylist())
    for utterance in at_once.scan() if at_once else ():
        again = found[utterance.utterance_id]
        for track in found.attributes.tracks:
            np.testing.assert_array_equal(again.read(track), utterance.read(track))


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        (Failing(raises=(1,)), "The teacher failed on utterance 'ü nicode': ValueError: no idea"),
        (Failing(not_finite=(1,)), "'ü nicode' is not finite"),
    ],
)
def test_the_utterance_that_stops_a_run_is_named_and_finished_shards_stay(
    tmp_path: Path, corpus: Corpus, store: Store, teacher: Failing, sentence: str
) -> None:
    storage = place(tmp_path / "store")
    with pytest.raises(InvalidInputError, match=sentence):
        run(corpus, storage, teacher)
    finished = Store(Frames(storage)).manifest.shards
    assert 0 < len(finished) < len(store.manifest.shards)
    assert run(corpus, storage).present > 0
    check_whole(storage, corpus, store)


def test_features_that_cannot_be_read_stop_a_run_and_their_utterance_is_named(
    tmp_path: Path, store: Store
) -> None:
    corpus = make_corpus(tmp_path / "corpus", LENGTHS)
    storage = place(tmp_path / "store")
    with damaged(corpus, 1), pytest.raises(CorruptDataError, match=r"Utterance '.*': .*damaged"):
        run(Corpus.open(corpus.url), storage)
    run(corpus, storage)
    check_whole(storage, corpus, store)


def test_what_is_skipped_is_listed_with_its_reason_until_it_can_be_stored(
    tmp_path: Path, corpus: Corpus, store: Store
) -> None:
    storage = place(tmp_path / "store")
    summary = run(corpus, storage, Failing(raises=(65,), not_finite=(1, 64)), OnError.SKIP)
    reasons = {entry.utterance_id: entry.reason for entry in summary.skipped}
    assert reasons.keys() == {"d", "e/with slash", "ü nicode"}
    assert reasons["e/with slash"] == "The teacher failed on utterance 'e/with slash': ValueError: no idea"
    assert "'ü nicode' is not finite" in reasons["ü nicode"]
    assert (summary.utterances, summary.elsewhere) == (len(LENGTHS) - 3, 0)
    attributes = read_attributes(storage)
    assert {entry.utterance_id: entry.reason for entry in attributes.skipped} == reasons
    assert attributes.runs[-1].skipped == 3
    assert verify(storage).sound

    fewer = run(corpus, storage, Failing(not_finite=(1,)), OnError.SKIP)
    assert (fewer.present, fewer.utterances) == (len(LENGTHS) - 3, 2)
    assert [entry.utterance_id for entry in read_attributes(storage).skipped] == ["ü nicode"]
    last = run(corpus, storage)
    assert (last.present, last.utterances, last.skipped) == (len(LENGTHS) - 1, 1, [])
    check_whole(storage, corpus, store)
    assert run(corpus, storage).utterances == 0


def test_unreadable_features_are_skipped_and_their_neighbours_are_not(tmp_path: Path, store: Store) -> None:
    corpus = make_corpus(tmp_path / "corpus", LENGTHS)
    storage = place(tmp_path / "store")
    with damaged(corpus, 1):
        summary = run(Corpus.open(corpus.url), storage, on_error=OnError.SKIP)
    skipped = {entry.utterance_id for entry in summary.skipped}
    assert 0 < len(skipped) < len(LENGTHS)
    assert summary.utterances == len(LENGTHS) - len(skipped)
    assert all("damaged" in entry.reason for entry in summary.skipped)
    again = run(corpus, storage)
    assert (again.utterances, again.present) == (len(skipped), summary.utterances)
    check_whole(storage, corpus, store)


def test_a_shard_of_which_nothing_can_be_stored_is_left_out_and_filled_later(
    tmp_path: Path, corpus: Corpus, store: Store
) -> None:
    storage = place(tmp_path / "store")
    assert [row["num_frames"] for row in store.manifest.table.to_pylist() if row["shard"] == 2] == [512]
    summary = run(corpus, storage, Failing(raises=(512,)), OnError.SKIP)
    assert summary.shards == len(store.manifest.shards) - 1
    report = verify(storage)
    assert report.sound
    assert report.checked.unpublished == 1
    assert run(corpus, storage).utterances == 1
    check_whole(storage, corpus, store)
    assert Store(Frames(storage)).manifest.shards == store.manifest.shards


def test_everything_may_be_skipped(tmp_path: Path, corpus: Corpus, store: Store) -> None:
    storage = place(tmp_path / "store")
    summary = run(corpus, storage, Failing(raises=tuple(LENGTHS.values())), OnError.SKIP)
    assert (summary.utterances, len(summary.skipped)) == (0, len(LENGTHS))
    assert verify(storage).sound
    run(corpus, storage)
    check_whole(storage, corpus, store)


def test_a_run_that_has_to_skip_too_much_stops(
    tmp_path: Path, corpus: Corpus, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "MOST_SKIPPED", 2)
    storage = place(tmp_path / "store")
    with pytest.raises(InvalidInputError, match=r"More than 2 utterances .* because: .* no idea"):
        run(corpus, storage, Failing(raises=(100, 300, 200, 64)), OnError.SKIP)
    run(corpus, storage)
    check_whole(storage, corpus, store)


def test_the_command_ends_with_3_and_lists_what_it_skipped(
    tmp_path: Path, corpus: Corpus, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["generate", corpus.url, "--teacher", LINEAR, "--store", str(tmp_path / "store")]
    command += ["--codec", "topk", "--k", "16", "--shard-frames", "512", "--chunk-frames", "64"]
    monkeypatch.setenv("TEACHER_RAISES_AT", "1,64")
    skipping = CliRunner().invoke(build(), [*command, "--on-error", "skip"])
    assert skipping.exit_code == 3
    assert "Skipped 2 utterances, run this again to try once more:" in skipping.output
    assert "  ü nicode: The teacher failed on utterance 'ü nicode'" in skipping.output
    described = json.loads(CliRunner().invoke(build(), ["info", str(tmp_path / "store"), "--json"]).output)
    assert [entry["utterance_id"] for entry in described["skipped"]] == ["d", "ü nicode"]
    assert all("no idea" in entry["reason"] for entry in described["skipped"])
    stopped = CliRunner().invoke(build(), command)
    assert isinstance(stopped.exception, InvalidInputError)
    assert "'d'" in str(stopped.exception)
    monkeypatch.delenv("TEACHER_RAISES_AT")
    assert CliRunner().invoke(build(), command).exit_code == 0
    check_whole(open_storage(tmp_path / "store"), corpus, store)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_in_order(
    tmp_path: Path, corpus: Corpus, store: Store, number: signal.Signals, code: int
) -> None:
    target = tmp_path / "store"
    command = ("generate", corpus.url, "--teacher", LINEAR, "--store", target, "--codec", "topk", "--k", "16")
    shards = ("--shard-frames", "512", "--chunk-frames", "64")
    with process(*softstore(*command, *shards), environment={"TEACHER_PAUSE": "0.3"}) as job:
        wait_for(lambda: published(target) >= 1, job)
        job.send(number)
        ended = job.end()
    assert ended.code == code, ended
    assert ended.errors == "Stopped. What is finished stays: run the same command again to go on."
    report = verify(open_storage(target))
    assert report.sound
    assert 0 < report.checked.utterances < len(LENGTHS)
    assert all(orphan.path.startswith("staging/") for orphan in report.orphans)
    run(corpus, place(target))
    check_whole(open_storage(target), corpus, store)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("failures") / "corpus", SMALL)


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory, small: Corpus) -> Store:
    return make_store(tmp_path_factory.mktemp("failures") / "store", small)


def number_of_writes(small: Corpus) -> int:
    storage, backend = watched(memory())
    run(small, storage)
    return backend.writes


def memory() -> Storage:
    return open_storage(f"memory://{uuid4().hex}")


@pytest.mark.parametrize("after", [False, True])
def test_power_cut_between_any_two_writes_and_run_again_it_is_as_if_never_interrupted(
    small: Corpus, small_store: Store, after: bool
) -> None:
    for step in range(1, number_of_writes(small) + 1):
        storage = memory()
        with pytest.raises(KilledError):
            run(small, watched(storage, dies_at=step, after=after)[0])
        run(small, storage)
        check_whole(storage, small, small_store)


@dataclass
class Full(Watched):
    """A disk that takes so many objects and no more."""

    room: float = math.inf
    taken: int = 0

    def put(self, path: str, data: bytes) -> None:
        self._take()
        super().put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._take()
        return super().create(path, data)

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        self._take()
        return super().exchange(path, before, after)

    def _take(self) -> None:
        if self.taken >= self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.taken += 1


def test_a_disk_that_is_full_at_any_write_leaves_nothing_half_written(
    small: Corpus, small_store: Store
) -> None:
    storage = memory()
    disk = Full(storage.backend)
    run(small, Storage(storage.url, disk))
    for room in range(disk.taken):
        storage = memory()
        with pytest.raises(StorageError, match="No space left on device"):
            run(small, Storage(storage.url, Full(storage.backend, room=room)))
        if storage.exists("zarr.json"):
            # The root comes first; arrays that have no metadata yet have no frames either.
            assert all(fault.kind == FaultKind.METADATA for fault in verify(storage).faults)
        staged = [path.split("-") for path, _ in storage.walk("staging")]
        assert {name[1] for name in staged if len(name) == 3} <= {
            name[1] for name in staged if name[2:] == ["part"]
        }, "what was not staged as a whole is deleted"
        run(small, storage)
        check_whole(storage, small, small_store)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_real_disk_that_fills_up_is_named_and_with_room_the_run_goes_on(
    tiny_disk: Path, corpus: Corpus, store: Store
) -> None:
    target = tiny_disk / "store"
    with pytest.raises(StorageError, match=r"Could not write 'staging/.*: No space left on device\."):
        run(corpus, place(target))
    report = verify(open_storage(target))
    assert report.sound
    assert 0 < report.checked.utterances < len(LENGTHS)
    assert not report.orphans
    subprocess.run(["mount", "-o", "remount,size=16m", tiny_disk], check=True)
    run(corpus, place(target))
    check_whole(open_storage(target), corpus, store)


@pytest.fixture
def proxy(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """In front of the S3 server; the environment leads there."""
    with faulty_proxy(s3_endpoint) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        yield found


@pytest.mark.parametrize("kind", ["busy", "drop", "late"])
def test_s3_that_refuses_for_a_while_only_delays_a_run(
    s3_url: str, proxy: FaultyProxy, small: Corpus, small_store: Store, kind: Kind
) -> None:
    """Every request to anything staged, to a manifest part or the root fails a few times."""
    storage = open_storage(s3_url, retries=IMPATIENT)
    for path in ("staging", "manifest", "zarr.json", "features"):
        for method in ("PUT", "GET", "DELETE"):
            proxy.inject(kind, times=3, path=path, method=method)
    assert run(small, storage).utterances == len(SMALL)
    assert not [fault for fault in proxy.faults if fault.times and fault.method == "PUT"]
    check_whole(storage, small, small_store)


@pytest.mark.parametrize("path", ["staging/000001-", "staging/000001", "manifest/000001", "zarr.json"])
def test_s3_that_refuses_for_good_ends_a_run_which_can_be_run_again(
    s3_url: str, proxy: FaultyProxy, small: Corpus, small_store: Store, path: str
) -> None:
    storage = open_storage(s3_url, retries=IMPATIENT)
    proxy.inject("busy", times=math.inf, path=path, method="PUT")
    with pytest.raises(StorageError, match=r"Could not (write|move) .*503 .*try again later\."):
        run(small, storage)
    proxy.clear()
    run(small, storage)
    check_whole(storage, small, small_store)
