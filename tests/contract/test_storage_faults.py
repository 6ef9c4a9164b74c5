"""What passes is waited for, what lasts is one error in bounded time, what is wrong is never believed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.errors import CorruptDataError, StorageError
from softstore.frames import Frames
from softstore.storage import Retries, Storage, open_storage
from tests.faults import FaultyProxy, Kind, faulty_proxy
from tests.s3 import IMPATIENT
from tests.samples import make_store
from tests.web_server import web_server

DATA = os.urandom(1 << 20)

BREAKING: list[Kind] = ["busy", "drop", "cut", "reset"]
PASSING: list[Kind] = [*BREAKING, "late"]
LASTING: list[tuple[Kind, str]] = [
    ("busy", r"answered 503 Service Unavailable and did so for \d+ s: try again later"),
    ("drop", r"the connection to .* broke every time for \d+ s: try again later"),
    ("cut", r"the connection to .* broke every time"),
    ("reset", r"the connection to .* broke every time"),
]


class Line(NamedTuple):
    """A storage with an ``x``, and the proxy in front of it."""

    proxy: FaultyProxy
    storage: Storage


@pytest.fixture(params=["http", "s3"])
def line(request: pytest.FixtureRequest) -> Line:
    """To either kind of server."""
    line: Line = request.getfixturevalue(f"{request.param}_line")
    return line


@pytest.fixture
def http_line(tmp_path: Path) -> Iterator[Line]:
    (tmp_path / "x").write_bytes(DATA)
    with web_server(tmp_path) as url, faulty_proxy(url) as proxy:
        yield Line(proxy, open_storage(proxy.url, retries=IMPATIENT))


@pytest.fixture
def s3_line(s3_endpoint: str, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    open_storage(s3_url).put("x", DATA)
    with faulty_proxy(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield Line(proxy, open_storage(s3_url, retries=IMPATIENT))


@pytest.mark.parametrize("kind", PASSING)
def test_a_read_outlasts_what_passes(line: Line, kind: Kind) -> None:
    proxy, storage = line
    proxy.inject(kind, times=2)
    assert storage.get("x") == DATA
    assert len(proxy.requests) == (1 if kind == "late" else 3)
    proxy.inject(kind, times=1)
    assert storage.get_range("x", 1000, 100_000) == DATA[1000:101_000]


def test_faults_of_several_kinds_one_after_another(line: Line) -> None:
    proxy, storage = line
    for kind in BREAKING:
        proxy.inject(kind)
    assert storage.get("x") == DATA
    assert len(proxy.requests) == 5


@pytest.mark.parametrize("kind", ["busy", "drop"])
def test_a_size_outlasts_what_passes(line: Line, kind: Kind) -> None:
    proxy, storage = line
    proxy.inject(kind, times=2, method="HEAD")
    assert storage.size("x") == len(DATA)
    assert storage.exists("x")


@pytest.mark.parametrize(("kind", "reason"), LASTING)
def test_what_lasts_is_one_error(line: Line, kind: Kind, reason: str) -> None:
    proxy, storage = line
    proxy.inject(kind, times=100)
    with pytest.raises(StorageError, match=f"Could not read 'x' in {storage.url}: .*{reason}"):
        storage.get_range("x", 0, 100_000)
    assert 2 <= len(proxy.requests) <= (IMPATIENT.times + 1) ** 2


def test_no_answer_is_given_up(line: Line) -> None:
    hurried = Retries(times=1, first_pause=0.01, stall=0.2)
    line.proxy.inject("late", times=100, seconds=0.4)
    with pytest.raises(StorageError, match=r"gave no answer for \d+ s: check the network"):
        open_storage(line.storage.url, retries=hurried).get("x")
    assert len(line.proxy.requests) == 2


@pytest.mark.parametrize("kind", ["busy", "drop", "cut"])
def test_the_time_for_retries_is_bounded_too(line: Line, kind: Kind) -> None:
    hurried = Retries(seconds=0.2, times=1_000_000, first_pause=0.01, longest_pause=0.05)
    line.proxy.inject(kind, times=1_000_000)
    with pytest.raises(StorageError, match="try again later"):
        open_storage(line.storage.url, retries=hurried).get("x")
    assert 2 <= len(line.proxy.requests) < 200


def test_a_refusal_is_not_asked_again(line: Line) -> None:
    proxy, storage = line
    proxy.inject("refuse", times=100)
    with pytest.raises(StorageError):
        storage.get("x")
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("kind", BREAKING)
def test_a_listing_is_never_cut_short(s3_line: Line, kind: Kind) -> None:
    proxy, storage = s3_line
    names = [f"d/{number:02}" for number in range(25)]  # on three pages of our server
    for name in names:
        storage.put(name, b"")
    for page in ("list-type", "continuation-token"):
        proxy.inject(kind, path=page)
    assert [path for path, _ in storage.walk("d")] == names


@pytest.mark.parametrize("kind", ["busy", "drop"])
def test_a_write_outlasts_what_passes(s3_line: Line, kind: Kind) -> None:
    proxy, storage = s3_line
    proxy.inject(kind, times=2, method="PUT")
    storage.put("y", DATA)
    assert storage.get("y") == DATA
    proxy.inject(kind, times=2, method="PUT")
    assert storage.create("z", DATA)
    assert not storage.create("z", b"")
    proxy.inject(kind, times=2)
    assert [path for path, _ in storage.walk()] == ["x", "y", "z"]
    proxy.inject(kind, times=2, method="POST")
    storage.delete("y")
    assert not storage.exists("y")
    assert all(fault.times == 0 for fault in proxy.faults)
    proxy.inject("busy", times=100, method="PUT")
    with pytest.raises(StorageError, match=r"Could not write 'y' in .* 503 Service Unavailable"):
        storage.put("y", DATA)
    assert not storage.exists("y")


@pytest.mark.parametrize("kind", ["shorten", "flip"])
def test_wrong_bytes_are_an_error_and_are_not_asked_for_again(
    tmp_path: Path, corpus: Corpus, kind: Kind
) -> None:
    make_store(tmp_path, corpus)
    with web_server(tmp_path) as url, faulty_proxy(url) as proxy:
        store = open_store(proxy.url)
        expected = store["b"].posteriors()
        for track in store.attributes.tracks:
            proxy.clear()
            proxy.inject(kind, path=f"{track}/c/")
            with pytest.raises(CorruptDataError, match=f"{track}/c/"):
                read_everything(proxy.url)
            asked = [request for request in proxy.requests if f"GET /{track}/c/" in request]
            assert len(asked) == 1
        np.testing.assert_array_equal(store["b"].posteriors(), expected)
        proxy.inject(kind, path="manifest/")
        with pytest.raises(CorruptDataError, match="manifest/"):
            len(open_store(proxy.url))


def test_a_whole_store_is_read_through_a_bad_line(tmp_path: Path, corpus: Corpus) -> None:
    store = make_store(tmp_path, corpus)
    with web_server(tmp_path) as url, faulty_proxy(url) as proxy:
        for kind in PASSING:
            for path in ("zarr.json", "manifest/", "targets/", "features/", "labels/"):
                proxy.inject(kind, path=path)
        remote = Store(Frames(open_storage(proxy.url, retries=IMPATIENT)))
        for utterance in store.scan():
            other = remote[utterance.utterance_id]
            np.testing.assert_array_equal(other.posteriors(), utterance.posteriors())
            np.testing.assert_array_equal(other.features(), utterance.features())
            np.testing.assert_array_equal(other.labels(), utterance.labels())
        assert all(fault.times == 0 for fault in proxy.faults)


def read_everything(url: str) -> None:
    for utterance in open_store(url).scan():
        utterance.posteriors()
        utterance.features()
        utterance.labels()
