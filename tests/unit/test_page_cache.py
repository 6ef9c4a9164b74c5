"""A directory of pages: what comes out is what lies at the source, whatever happened to the directory."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softstore.errors import InvalidInputError, StorageError
from softstore.page_cache import PAGE_BYTES, PageCache

BOUND = 64 * PAGE_BYTES


class Source:
    """An object, and what was fetched of it."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.data = random.Random(seed).randbytes(size)
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.fetched: list[tuple[int, int]] = []

    def fetch(self, start: int, length: int) -> memoryview:
        self.fetched.append((start, length))
        return memoryview(self.data)[start : start + length]

    def read(self, cache: PageCache, start: int, length: int) -> bytes:
        return bytes(cache.read(self.sha256, len(self.data), start, length, self.fetch))


SOURCE = Source(3 * PAGE_BYTES + 12_345)
places = st.integers(0, len(SOURCE.data)) | st.integers(0, 3).map(lambda page: page * PAGE_BYTES)


@pytest.fixture
def cache(tmp_path: Path) -> PageCache:
    return PageCache(tmp_path / "pages", BOUND)


def pages(cache: PageCache) -> list[Path]:
    return sorted(file for file in cache.directory.rglob("*") if file.is_file())


@settings(deadline=None, max_examples=40)
@given(spans=st.lists(st.tuples(places, places), min_size=1, max_size=4))
def test_any_span_is_that_of_the_object(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]]
) -> None:
    cache = PageCache(tmp_path_factory.mktemp("any"), BOUND)
    for start, stop in map(sorted, spans):
        assert SOURCE.read(cache, start, stop - start) == SOURCE.data[start:stop]


def test_a_page_is_fetched_once_and_neighbours_at_once(cache: PageCache) -> None:
    source = Source(4 * PAGE_BYTES + 5)
    source.read(cache, PAGE_BYTES + 7, 10)
    source.read(cache, 0, len(source.data))
    source.read(PageCache(cache.directory, BOUND), 0, len(source.data))
    assert source.fetched == [(PAGE_BYTES, PAGE_BYTES), (0, PAGE_BYTES), (2 * PAGE_BYTES, 2 * PAGE_BYTES + 5)]


class SlowSource(Source):
    def fetch(self, start: int, length: int) -> memoryview:
        time.sleep(0.1)
        return super().fetch(start, length)


def test_threads_that_miss_the_same_page_fetch_it_once(cache: PageCache) -> None:
    source = SlowSource(PAGE_BYTES)
    together = threading.Barrier(8)

    def read(start: int) -> bytes:
        together.wait()
        return source.read(cache, start, 10)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [source.data[start : start + 10] for start in range(8)]
    assert len(source.fetched) == 1


@pytest.mark.parametrize("damage", ["a flipped bit", "cut", "empty", "longer", "another page"])
def test_a_damaged_page_is_noticed_and_fetched_again(cache: PageCache, damage: str) -> None:
    source = Source(2 * PAGE_BYTES)
    source.read(cache, 0, len(source.data))
    page, other = pages(cache)
    whole = page.read_bytes()
    page.write_bytes(
        {
            "a flipped bit": whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:],
            "cut": whole[:-1],
            "empty": b"",
            "longer": whole + b"\0",
            "another page": other.read_bytes(),
        }[damage]
    )
    source.fetched.clear()
    assert source.read(cache, 0, len(source.data)) == source.data
    assert source.fetched == [(0, PAGE_BYTES)]
    assert page.read_bytes() == whole


def test_an_object_that_is_made_anew_is_another(cache: PageCache) -> None:
    before, after = Source(1000, seed=1), Source(1000, seed=2)
    assert before.read(cache, 0, 1000) != after.read(cache, 0, 1000) == after.data


def test_an_object_that_is_too_short_gives_what_there_is_and_is_not_kept(cache: PageCache) -> None:
    source = Source(1000)
    found = cache.read(source.sha256, PAGE_BYTES + 1000, 900, 200, source.fetch)
    assert bytes(found) == source.data[900:]
    assert pages(cache) == []


def test_it_never_grows_beyond_its_bound_and_keeps_what_was_used_last(cache: PageCache) -> None:
    often = Source(PAGE_BYTES)
    for seed in range(150):
        Source(PAGE_BYTES, seed + 1).read(cache, 0, 1)
        often.read(cache, 0, 1)
        # Files are as old as the clock says, whose steps may be longer than this takes.
        os.utime(next(cache.directory.rglob(f"{often.sha256}-0")), (2e9 + seed, 2e9 + seed))
        assert sum(file.stat().st_size for file in pages(cache)) <= BOUND
    assert len(often.fetched) == 1
    assert len(pages(cache)) >= 40


def test_what_killed_processes_left_is_removed_in_time_and_nothing_else(cache: PageCache) -> None:
    source = Source(PAGE_BYTES)
    source.read(cache, 0, 1)
    (page,) = pages(cache)
    abandoned, under_way = page.with_name(f"{page.name}#1"), page.with_name(f"{page.name}#2")
    foreign = page.with_name("notes.txt")
    for file in (abandoned, under_way, foreign):
        file.write_bytes(b"half a page")
    for file in (abandoned, foreign):
        os.utime(file, (1e9, 1e9))
    Source(PAGE_BYTES, seed=1).read(PageCache(cache.directory, BOUND), 0, 1)
    assert not abandoned.exists()
    assert under_way.exists()
    assert foreign.exists()


def test_where_nothing_can_be_kept_reading_goes_on(cache: PageCache) -> None:
    source = Source(2000)
    (cache.directory / source.sha256[:2]).write_bytes(b"in the way")
    assert source.read(cache, 500, 100) == source.data[500:600]


def test_a_cache_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="give it 64 MiB or more"):
        PageCache(tmp_path, BOUND - 1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Could not make the cache"):
        PageCache(tmp_path / "file", BOUND)
