"""A storage goes to other processes by its URL; after a fork it works or says why not, and never hangs."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from softstore.errors import InvalidInputError
from softstore.storage import Retries, Storage, open_storage
from tests.web_server import web_server

ROOT = Path(__file__).parents[2]


@pytest.fixture
def web_url(tmp_path: Path) -> Iterator[str]:
    with web_server(tmp_path, token="swordfish") as url:
        yield url


def read(storage: Storage) -> bytes:
    return storage.get("x")


def test_spawned_processes_read_what_was_opened_here(tmp_path: Path, s3_url: str, web_url: str) -> None:
    storages = [open_storage(tmp_path), open_storage(s3_url), open_storage(web_url, token="swordfish")]
    storages[0].put("x", b"a file")
    storages[1].put("x", b"on s3")
    assert read(storages[2]) == b"a file"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(read, storages) == [b"a file", b"on s3", b"a file"]


def test_a_pickled_storage_is_the_same_storage(tmp_path: Path) -> None:
    retries = Retries(seconds=1)
    for url in (str(tmp_path), "s3://bucket/prefix", "http://localhost:1/store"):
        storage = open_storage(url, token="swordfish", retries=retries)
        again = pickle.loads(pickle.dumps(storage))  # noqa: S301
        assert (again.url, again.token, again.retries) == (storage.url, storage.token, storage.retries)
        assert type(again.backend) is type(storage.backend)


def test_memory_stays_in_its_process() -> None:
    with pytest.raises(InvalidInputError, match="memory://here lives in one process"):
        pickle.dumps(open_storage("memory://here"))


def test_local_files_survive_a_fork(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    assert forked(str(tmp_path), str(tmp_path)) == ["data", "data", "data"]


def test_a_child_of_a_process_that_read_local_files_reads_remote_ones(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    with web_server(tmp_path) as url:
        assert forked(str(tmp_path), url) == ["data", "data", "data"]


def test_a_child_of_a_process_that_read_remote_objects_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    with web_server(tmp_path) as url:
        used, unused, anew = forked(url, str(tmp_path))
    assert unused == "data"
    for answer in (used, anew):
        assert answer.startswith(f"Could not read 'x' in {url}: this process was forked")
        assert '"spawn" or "forkserver"' in answer


def forked(url: str, unused_url: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.contract.forking", url, unused_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers: list[str] = json.loads(run.stdout)
    return answers
