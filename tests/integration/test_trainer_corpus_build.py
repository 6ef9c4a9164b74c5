"""A corpus that was made: sound, its senones under a checksum, and a stopped run finished by the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from softstore import Corpus
from softstore.errors import ConflictError, CorruptDataError
from softstore.format import SENONES
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from tests.watched import KilledError, contents, watched
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.corpora.build import build, is_complete
from trainer.corpora.source import AlignedUtterance, Rejected
from trainer.senones import SenoneTree

PHONES = (SILENCE, "B", "A", SILENCE)


class Noises:
    """Utterances of noise, each with the same two phones."""

    def __init__(self, seed: int = 0) -> None:
        self.description: Mapping[str, object] = {"name": "noises", "licence": "none"}
        self.lexicon: Mapping[str, list[tuple[str, ...]]] = {"ba": [("B", "A")]}
        self.total = 9
        self._seed = seed

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        yield Rejected("empty", "it has no samples")
        states = np.repeat(np.arange(len(PHONES) * STATES, dtype=np.int32), 4)
        for number in range(8):
            random = np.random.default_rng([self._seed, number])
            features = random.normal(size=(len(states), 40)).astype(np.float32)
            split = "cv" if number == 7 else "train"
            yield AlignedUtterance(
                f"n{number}", f"s-{split}", split, "ba", features, Alignment(PHONES, states)
            )


def made(url: str | Path) -> Storage:
    storage = open_storage(url, writable=True)
    build(Noises(), storage, senones=9)
    return storage


def test_it_is_sound_and_its_senones_are_what_labelled_it(tmp_path: Path) -> None:
    storage = made(tmp_path / "corpus")
    assert is_complete(storage, Noises(), 9)
    report = verify(storage)
    assert (report.faults, report.orphans) == ([], [])
    corpus = Corpus.open(storage.url)
    senones = corpus.senones()
    assert senones["lexicon"] == {"ba": ["B A"]}
    tree = SenoneTree.from_json(senones["tree"])
    assert tree.num_senones == corpus.class_count
    states = np.repeat(np.arange(len(PHONES) * STATES, dtype=np.int32), 4)
    np.testing.assert_array_equal(corpus["n3"].labels(), tree.label(Alignment(PHONES, states)))


def test_senones_that_are_damaged_are_noticed(tmp_path: Path) -> None:
    storage = made(tmp_path / "corpus")
    storage.put(SENONES, storage.get(SENONES).replace(b"B A", b"B I"))
    assert [fault.path for fault in verify(storage).faults] == [SENONES]
    with pytest.raises(CorruptDataError, match=r"senones\.json .* is damaged"):
        Corpus.open(storage.url).senones()


def test_stopped_at_any_write_the_next_run_finishes_the_same(tmp_path: Path) -> None:
    wanted, step = contents(made(f"memory://{tmp_path}/whole")), 0
    while True:
        step += 1
        storage = open_storage(f"memory://{tmp_path}/{step}")
        dying, _ = watched(storage, dies_at=step)
        try:
            build(Noises(), dying, senones=9)
        except KilledError:
            build(Noises(), storage, senones=9)
            assert contents(storage) == wanted
        else:
            break
    assert step > 5


def test_other_speech_does_not_finish_it(tmp_path: Path) -> None:
    storage = open_storage(f"memory://{tmp_path}")
    dying, _ = watched(storage, dies_at=11)
    with pytest.raises(KilledError):
        build(Noises(), dying, senones=9)
    assert SENONES in contents(storage)
    with pytest.raises(ConflictError):
        build(Noises(seed=1), storage, senones=8)
