"""A remote store read through a directory of pages: asked once, by several processes, and after a kill."""

from __future__ import annotations

import pickle
import signal
from pathlib import Path

import pytest

from softstore.codecs import TopK
from softstore.format import FEATURES, LABELS, TARGETS
from softstore.page_cache import CACHE_BYTES, PageCache
from tests.cached_reader import digest
from tests.loading_data import LENGTHS
from tests.processes import Process, process, wait_for
from tests.samples import make_corpus, make_store
from tests.web_server import web_server
from trainer.loading import open_examples


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cached")
    make_store(root / "store", make_corpus(root / "corpus", LENGTHS), TopK(k=8))
    return root


@pytest.fixture(scope="module")
def truth(root: Path) -> str:
    return digest(str(root / "store"), None)


def of_frames(asked: list[str]) -> list[str]:
    """Those requests that are for shard objects."""
    tracks = tuple(f"/store/{track}/" for track in (FEATURES, LABELS, TARGETS))
    return [path for path in asked if path.startswith(tracks) and "/c/" in path]


def test_frames_are_asked_of_the_server_once(root: Path, truth: str, tmp_path: Path) -> None:
    asked: list[str] = []
    with web_server(root, asked=asked) as url:
        assert digest(f"{url}/store", tmp_path) == truth
        # These objects are smaller than a page: each is fetched whole.
        assert len(of_frames(asked)) == len(set(of_frames(asked))) > 0
        asked.clear()
        assert digest(f"{url}/store", tmp_path) == truth
        assert of_frames(asked) == []


def test_processes_share_the_pages(root: Path, truth: str, tmp_path: Path) -> None:
    asked: list[str] = []
    with web_server(root, asked=asked) as url:
        command = ("-m", "tests.cached_reader", f"{url}/store", tmp_path)
        with process(*command) as one, process(*command) as other:
            assert [one.end().output.strip(), other.end().output.strip()] == [truth, truth]
        asked.clear()
        assert digest(f"{url}/store", tmp_path) == truth
        assert of_frames(asked) == []


def test_a_process_that_is_killed_leaves_nothing_that_misleads(
    root: Path, truth: str, tmp_path: Path
) -> None:
    def kept() -> int:
        return len([file for file in tmp_path.rglob("*") if file.is_file()])

    with web_server(root) as url:
        for pages in (1, 20, 60):
            reading = Process("-m", "tests.cached_reader", f"{url}/store", tmp_path)
            wait_for(lambda: kept() >= pages or not reading.running)  # noqa: B023
            reading.send(signal.SIGKILL)
            reading.wipe_out()
        assert digest(f"{url}/store", tmp_path) == truth


def test_only_remote_stores_are_cached_and_the_cache_travels(root: Path, tmp_path: Path) -> None:
    open_examples(root / "store", cache=tmp_path / "local").nothing()
    assert digest(str(root / "store"), tmp_path / "local")
    assert list((tmp_path / "local").iterdir()) == []
    cache = pickle.loads(pickle.dumps(PageCache(tmp_path / "pages")))  # noqa: S301
    assert (cache.directory, cache.limit_bytes) == (tmp_path / "pages", CACHE_BYTES)
