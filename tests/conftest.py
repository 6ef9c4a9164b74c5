"""Fixtures every test may use."""

from __future__ import annotations

import os

# Before torch is imported, here and in the commands that tests start: two test processes on two cores, each
# with threads that wait for the other's, would crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from softstore import Corpus, Store
from tests.s3 import s3_endpoint, s3_url
from tests.samples import LENGTHS, make_corpus, make_store

__all__ = ["s3_endpoint", "s3_url"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A small corpus of random features; not to be changed."""
    return make_corpus(tmp_path_factory.mktemp("samples") / "corpus", LENGTHS)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Store:
    """The soft targets of that corpus; not to be changed."""
    return make_store(tmp_path_factory.mktemp("samples") / "store", corpus)


@pytest.fixture
def own_store(tmp_path: Path, corpus: Corpus) -> Store:
    """The same, to be damaged."""
    return make_store(tmp_path / "store", corpus)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small models run no faster on more, and give the same bits on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
