"""Lessons: batches in their order, with what the teacher says of the steps that are learnt from."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor

from softstore import Store
from softstore.codecs import Parameters
from tests.loading_data import LENGTHS, same, streams
from tests.samples import make_corpus, make_store
from trainer.examples import Examples, open_examples
from trainer.lessons import Lesson, lessons
from trainer.loading import Batch
from trainer.metrics import Waiting
from trainer.objectives import Kind, Objective, Softener

SOFT = Objective(Kind.SOFT, 2.0)


class Watched(Examples):
    """Who softened."""

    def __init__(self, examples: Examples) -> None:
        super().__init__(examples.frames)
        self.threads: set[int] = set()

    def softener(self, encoded: Mapping[str, Tensor], rows: Tensor) -> Softener | None:
        self.threads.add(threading.get_ident())
        return super().softener(encoded, rows)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("lessons")
    codec = Parameters(step=16.0, refined=1, max_kl=0.01)
    return make_store(path / "store", make_corpus(path / "corpus", LENGTHS), codec)


@pytest.fixture
def examples(store: Store) -> Watched:
    return Watched(open_examples(store.url))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def targets(batch: Batch) -> Tensor:
    return batch.mask.flatten().nonzero()[:, 0]


def taught(examples: Examples, objective: Objective = SOFT) -> Iterator[Lesson]:
    return lessons(streams(examples), examples, objective, targets, torch.device("cpu"), Waiting())


def losses(given: list[Lesson], class_count: int) -> Tensor:
    """Of a student that knows nothing."""
    found = []
    for lesson in given:
        logits = torch.zeros(len(lesson.rows), class_count)
        logits[:, 0] = 1.0
        found.append(SOFT.loss(logits, lesson.batch.labels.flatten()[lesson.rows], lesson.soften))
    return torch.stack(found)


@pytest.mark.usefixtures("threads")
def test_another_thread_softens_for_a_student_that_has_one(examples: Watched) -> None:
    torch.set_num_threads(2)
    together = list(taught(examples))
    assert examples.threads == {threading.get_ident()}
    examples.threads.clear()
    torch.set_num_threads(1)
    apart = list(taught(examples))
    assert threading.get_ident() not in examples.threads
    assert same([lesson.batch for lesson in apart], streams(examples))
    assert all(torch.equal(one.rows, other.rows) for one, other in zip(apart, together, strict=True))
    expected = losses(together, examples.class_count)
    torch.testing.assert_close(losses(apart, examples.class_count), expected)
    assert len(set(expected.tolist())) > 1


@pytest.mark.usefixtures("threads")
def test_who_stops_in_the_middle_leaves_no_threads(examples: Watched) -> None:
    torch.set_num_threads(1)
    before = threading.active_count()
    given = taught(examples)
    next(given)
    assert threading.active_count() > before
    del given
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("ThreadPoolExecutor"):
            thread.join(10)
    assert threading.active_count() == before


@pytest.mark.usefixtures("threads")
def test_labels_alone_need_no_teacher(examples: Watched) -> None:
    torch.set_num_threads(1)
    batches = streams(examples, targets=False)
    given = list(lessons(batches, examples, Objective(Kind.HARD), targets, torch.device("cpu"), Waiting()))
    assert all(lesson.soften is None for lesson in given)
