"""A whole store on every backend is the same store, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast
from uuid import uuid4

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.storage import open_storage
from tests.samples import LENGTHS, make_corpus, make_store
from tests.web_server import web_server


@pytest.fixture(params=["file", "memory", "s3", "http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where to write, and where to read the same."""
    with ExitStack() as stack:
        if request.param == "memory":
            url = f"memory://{uuid4().hex}"
        elif request.param == "s3":
            url = request.getfixturevalue("s3_url")
        else:
            url = f"{tmp_path}/a place"
        if request.param == "http":
            yield url, f"{stack.enter_context(web_server(tmp_path))}/a%20place"
        else:
            yield url, url


def test_a_store_is_the_same_wherever_it_lies(place: tuple[str, str], corpus: Corpus, store: Store) -> None:
    written_to, read_from = place
    make_store(cast(Path, written_to), corpus)
    found = open_store(read_from)
    assert len(found) == len(LENGTHS)
    for utterance in store.scan():
        other = found[utterance.utterance_id]
        for temperature in (1.0, 4.0):
            np.testing.assert_array_equal(other.posteriors(temperature), utterance.posteriors(temperature))
        np.testing.assert_array_equal(other.features(), utterance.features())
        np.testing.assert_array_equal(other.labels(), utterance.labels())
        np.testing.assert_array_equal(other.posteriors(1.0, 0, 1), utterance.posteriors(1.0, 0, 1))
    if not read_from.startswith("http"):
        local = {path: size for path, size in open_storage(store.url).walk() if path.startswith("targets/")}
        sizes = {path: size for path, size in open_storage(read_from).walk() if path.startswith("targets/")}
        assert sizes == local


def test_a_corpus_too_and_a_second_run_finds_everything_done(place: tuple[str, str], corpus: Corpus) -> None:
    written_to, read_from = place
    make_corpus(cast(Path, written_to), LENGTHS)
    found = Corpus.open(read_from)
    for utterance in corpus.scan():
        np.testing.assert_array_equal(found[utterance.utterance_id].features(), utterance.features())
    make_store(cast(Path, f"{written_to}-targets"), found)
    if read_from == written_to:
        before = dict(open_storage(f"{written_to}-targets").walk())
        make_store(cast(Path, f"{written_to}-targets"), found)
        assert dict(open_storage(f"{written_to}-targets").walk()) == before
