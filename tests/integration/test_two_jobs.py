"""Two jobs that fill one store: each shard is published by exactly one of them, whole."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.format import FEATURES
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from tests.processes import Ended, process, softstore, wait_for
from tests.samples import make_corpus, make_store
from tests.teachers_by_name import LINEAR

UTTERANCES = 60


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    lengths = {f"u{number}": 100 + number for number in range(UTTERANCES)}
    return make_corpus(tmp_path_factory.mktemp("two") / "corpus", lengths)


@pytest.fixture(scope="module")
def whole(source: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("two") / "whole", source)


def command(source: Corpus, store: str) -> tuple[str | Path, ...]:
    where = (source.url, "--teacher", LINEAR, "--store", store, "--codec", "topk", "--k", "16")
    return softstore("generate", *where, "--shard-frames", "512", "--chunk-frames", "64")


def counts(ended: Ended) -> tuple[int, int, int]:
    """Utterances that a job stored, found there when it began, and found stored by another one meanwhile."""

    def find(pattern: str) -> int:
        found = re.search(pattern, ended.output)
        return int(found[1]) if found else 0

    before, meanwhile = find(r"(\d+) were there before"), find(r"(\d+) were stored meanwhile by others")
    return find(r"Stored (\d+) utterance"), before, meanwhile


def fill_by_two(source: Corpus, store: str, seen_by: Path, asked: int = 0, **environment: str) -> None:
    """Begin one, and the other once the first has asked about so many utterances, and waits for it."""
    seen_by.mkdir()
    environment |= {"TEACHER_SEEN_BY": str(seen_by), "TEACHER_WAITS_AFTER": str(asked)}
    target = open_storage(store, writable=True)
    with process(*command(source, store), environment=environment) as first:
        wait_for(lambda: published(target) >= asked // 5, first)
        with process(*command(source, store), environment=environment) as second:
            ends = [first.end(), second.end()]
    assert [ended.code for ended in ends] == [0, 0], ends
    assert [ended.errors for ended in ends] == ["", ""]
    stored = [counts(ended) for ended in ends]
    assert [sum(each) for each in stored] == [UTTERANCES, UTTERANCES]
    assert sum(own for own, _, _ in stored) == UTTERANCES
    assert all(own for own, _, _ in stored), "one of them did nothing, so nothing was shown"


def published(storage: Storage) -> int:
    return sum(path.endswith(".parquet") for path, _ in storage.walk("manifest"))


def check_once(store: str, source: Corpus) -> Store:
    """Every utterance is there once, every object is of the attempt whose manifest part lists it."""
    report = verify(open_storage(store), sample=UTTERANCES)
    assert report.sound, report.faults
    assert not report.orphans
    found = open_store(store)
    ids = found.manifest.table["utterance_id"].to_pylist()
    assert sorted(ids) == sorted(source.manifest.table["utterance_id"].to_pylist())
    assert len(found.attributes.runs) == 2
    assert all(run.finished for run in found.attributes.runs)
    return found


@pytest.mark.parametrize("asked", [0, UTTERANCES // 2])
def test_two_processes_share_the_work(tmp_path: Path, source: Corpus, whole: Store, asked: int) -> None:
    store = str(tmp_path / "store")
    fill_by_two(source, store, tmp_path / "seen", asked, TEACHER_PAUSE="0.05")
    found = check_once(store, source)
    for utterance in whole.scan():
        again = found[utterance.utterance_id]
        np.testing.assert_array_equal(again.log_posteriors(), utterance.log_posteriors())
        np.testing.assert_array_equal(again.read(FEATURES), utterance.read(FEATURES))


@pytest.mark.parametrize("place", ["directory", "s3"])
def test_what_differs_between_two_processes_is_never_mixed(
    tmp_path: Path, source: Corpus, s3_url: str, place: str
) -> None:
    """Their teachers say the same but for the last bits: an object of the other one would not verify."""
    store = s3_url if place == "s3" else str(tmp_path / "store")
    fill_by_two(source, store, tmp_path / "seen", TEACHER_PAUSE="0.05", TEACHER_TREMBLES="yes")
    check_once(store, source)
