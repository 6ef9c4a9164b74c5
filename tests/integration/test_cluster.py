"""Shards made by the workers of a Dask cluster: real processes, which come, go and are killed."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore import cluster as crews
from softstore import open as open_store
from softstore.cluster import DaskCrew, Job
from softstore.codecs import TopK
from softstore.errors import ConflictError, CorruptDataError, SoftstoreError
from softstore.filling import Summary
from softstore.format import LABELS
from softstore.generate import generate
from softstore.progress import Progress, Standing, silent
from softstore.rows import Rows
from softstore.shard_maker import OnError
from softstore.storage import open_storage
from softstore.survey import Survey, survey
from softstore.tasks import iter_tasks, plan_tasks
from softstore.verify import verify
from tests.dask_cluster import DaskCluster, dask_cluster
from tests.processes import Process, process, published, softstore, wait_for
from tests.samples import LENGTHS, LinearTeacher, damaged, make_corpus, make_store
from tests.teachers_by_name import LINEAR

UTTERANCES = 60
SHARDS = 20
PAUSE = "0.02"
"""A run takes seconds, on one worker."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    lengths = {f"u{number}": 100 + number for number in range(UTTERANCES)}
    return make_corpus(tmp_path_factory.mktemp("cluster") / "corpus", lengths)


@pytest.fixture(scope="module")
def whole(source: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What one process stores of it, without a cluster."""
    return make_store(tmp_path_factory.mktemp("cluster") / "whole", source)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers: the second has a nanny, which replaces it when it dies."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        started.worker("--no-nanny", TEACHER_PAUSE=PAUSE)
        started.worker("--nanny", TEACHER_PAUSE=PAUSE)
        started.wait_for_workers(2)
        yield started


def command(source: Corpus, store: Path, *options: str) -> tuple[str | Path, ...]:
    """The command line of a run."""
    where = (source.url, "--teacher", LINEAR, "--store", store, "--codec", "topk", "--k", "16")
    shards = ("--shard-frames", "512", "--chunk-frames", "64")
    return softstore("generate", *where, *shards, "--progress", "quiet", *options)


def run(
    source: Corpus,
    store: Path,
    scheduler: str,
    k: int = 16,
    seed: int = 0,
    on_error: OnError = OnError.STOP,
    progress: Progress = silent,
) -> Summary:
    """The same from Python."""
    teacher = LinearTeacher(seed)
    job = Job(source.url, str(store), LINEAR, teacher.fingerprint, "cpu", 1, on_error)
    place = open_storage(store, writable=True)
    with DaskCrew(job, scheduler=scheduler) as crew:
        return generate(
            source,
            teacher,
            place,
            TopK(k=k),
            shard_frames=512,
            chunk_frames=64,
            crew=crew,
            on_error=on_error,
            progress=progress,
        )


def check_same(store: Path, whole: Store) -> None:
    """It verifies, nothing is staged any more, and it holds the same as the other, once."""
    report = verify(open_storage(store), sample=UTTERANCES)
    assert report.sound
    # A killed write may leave a file that was not whole yet, which `softstore verify --repair` deletes.
    assert [orphan.path for orphan in report.orphans if "#" not in orphan.path] == []
    found = open_store(store)
    ids = found.manifest.table["utterance_id"].to_pylist()
    assert sorted(ids) == sorted(whole.manifest.table["utterance_id"].to_pylist())
    for utterance in whole.scan():
        again = found[utterance.utterance_id]
        np.testing.assert_array_equal(again.log_posteriors(), utterance.log_posteriors())
        np.testing.assert_array_equal(again.features(), utterance.features())
        np.testing.assert_array_equal(again.read(LABELS), utterance.read(LABELS))


def test_workers_that_are_killed_half_way_lose_nothing(
    tmp_path: Path, source: Corpus, whole: Store, cluster: DaskCluster
) -> None:
    """First the one that its nanny replaces, then one that nobody does."""
    lonely = cluster.worker("--no-nanny", TEACHER_PAUSE=PAUSE)
    cluster.wait_for_workers(3)
    nannied = cluster.pid_of(cluster.workers[1])
    store = tmp_path / "store"
    with process(*command(source, store, "--scheduler", cluster.address)) as job:
        wait_for(lambda: published(store) >= 2, job)
        os.kill(nannied, signal.SIGKILL)
        wait_for(lambda: published(store) >= 4, job)
        lonely.send(signal.SIGKILL)
        assert published(store) < SHARDS
        ended = job.end()
    assert ended.code == 0, ended
    assert "Stored" in ended.output
    check_same(store, whole)
    cluster.wait_for_workers(2)
    assert cluster.pid_of(cluster.workers[1]) != nannied


def test_a_worker_that_joins_late_takes_part(
    tmp_path: Path, source: Corpus, whole: Store, cluster: DaskCluster
) -> None:
    seen_by = tmp_path / "seen"
    seen_by.mkdir()
    late: list[Process] = []

    def progress(standing: Standing) -> None:
        if standing.shards == 1 and not late:
            late.append(cluster.worker("--no-nanny", TEACHER_PAUSE=PAUSE, TEACHER_SEEN_BY=str(seen_by)))
            cluster.wait_for_workers(3)

    summary = run(source, tmp_path / "store", cluster.address, progress=progress)
    assert summary.utterances == UTTERANCES
    assert [path.name for path in seen_by.iterdir()] == [str(worker.pid) for worker in late]
    check_same(tmp_path / "store", whole)


def test_workers_forget_a_store_that_has_been_made_anew(
    tmp_path: Path, source: Corpus, cluster: DaskCluster
) -> None:
    store = tmp_path / "store"
    run(source, store, cluster.address, k=16)
    shutil.rmtree(store)
    run(source, store, cluster.address, k=8)
    check_same(store, make_store(tmp_path / "whole", source, TopK(k=8)))


def test_a_worker_that_has_another_teacher_is_refused(
    tmp_path: Path, source: Corpus, cluster: DaskCluster
) -> None:
    with pytest.raises(ConflictError, match=f"A worker finds another teacher at {LINEAR}"):
        run(source, tmp_path / "store", cluster.address, seed=1)
    assert not published(tmp_path / "store")


def test_what_a_worker_cannot_use_is_named_or_skipped(tmp_path: Path, cluster: DaskCluster) -> None:
    corpus, store = make_corpus(tmp_path / "corpus", LENGTHS), tmp_path / "store"
    with damaged(corpus, 1):
        with pytest.raises(CorruptDataError, match=r"Utterance '.*': .*damaged"):
            run(corpus, store, cluster.address)
        summary = run(corpus, store, cluster.address, on_error=OnError.SKIP)
    assert 0 < len(summary.skipped) < len(LENGTHS)
    assert open_store(store).attributes.skipped == summary.skipped
    assert run(corpus, store, cluster.address).utterances == len(summary.skipped)
    assert open_store(store).attributes.skipped == []
    check_same(store, make_store(tmp_path / "whole", corpus))


def test_a_scheduler_that_is_killed_is_missed_and_another_goes_on(
    tmp_path: Path, source: Corpus, whole: Store, cluster: DaskCluster
) -> None:
    store = tmp_path / "store"
    with dask_cluster(tmp_path) as other:
        other.worker("--no-nanny", TEACHER_PAUSE=PAUSE)
        with process(*command(source, store, "--scheduler", other.address)) as job:
            wait_for(lambda: published(store) >= 2, job)
            other.scheduler.send(signal.SIGKILL)
            ended = job.end()
    assert ended.code == 2, ended
    assert f"Error: The Dask scheduler at {other.address} went away: run this again" in ended.errors
    assert "Traceback" not in ended.errors
    there = len(open_store(store))
    assert 0 < there < UTTERANCES
    summary = run(source, store, cluster.address)
    assert (summary.present, summary.utterances) == (there, UTTERANCES - there)
    check_same(store, whole)


def test_an_address_without_a_scheduler_is_named(
    tmp_path: Path, source: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(SoftstoreError, match=r"There is no Dask scheduler at tcp://127.*:9: start one"):
        run(source, tmp_path / "store", "tcp://127.0.0.1:9")
    with pytest.raises(SoftstoreError, match="There is no Dask scheduler at nonsense:: start one"):
        run(source, tmp_path / "store", "nonsense:")


def test_a_scheduler_that_no_worker_joins_is_named(
    tmp_path: Path, source: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "_JOIN_SECONDS", 0.5)
    with (
        dask_cluster(tmp_path) as empty,
        pytest.raises(SoftstoreError, match=f"No worker has joined the scheduler at {empty.address}: start"),
    ):
        run(source, tmp_path / "store", empty.address)


def test_only_tasks_and_receipts_cross_the_scheduler(source: Corpus) -> None:
    """A task is as large as its manifest rows: no features, no weights, no posteriors."""
    frames = source.frames
    surveyed = survey(frames.storage, frames.attributes)
    plan = plan_tasks(surveyed, Survey(), 512, 1, str)
    for task in iter_tasks(plan, Rows(frames, surveyed), plan.units):
        assert len(pickle.dumps(task)) < 4_000 + 200 * len(task.rows)


def test_a_cluster_of_its_own_is_started_and_stopped(tmp_path: Path, source: Corpus, whole: Store) -> None:
    store = tmp_path / "store"
    with process(*command(source, store, "--workers", "2"), environment={"TEACHER_PAUSE": PAUSE}) as job:
        wait_for(lambda: published(store) >= 2, job)
        job.send_all(signal.SIGINT)
        stopped = job.end()
        assert stopped.code == 130, stopped
        assert stopped.errors == "Stopped. What is finished stays: run the same command again to go on."
        wait_for(lambda: not job.session())
    assert 0 < len(open_store(store)) < UTTERANCES
    with process(*command(source, store, "--workers", "2")) as job:
        ended = job.end()
        assert ended.code == 0, ended
        assert ended.errors == ""
        wait_for(lambda: not job.session())
    check_same(store, whole)
    assert open_store(store).attributes.runs[-1].workers == 2
