"""What benchmarks of codecs and stores are run on: log-posteriors of a teacher of the paper's size.

Two hours of synthetic noisy speech, a teacher of 4 x 2048 rectified linear units trained on it (two epochs:
the third fits the training data only), and its log-posteriors over the held-out ``cv`` split, of speakers and
sentences it has never met. Made once in a work directory and found there again; remove the directory to make
everything afresh.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, overload

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from softstore import Corpus
from softstore.storage import open_storage
from softstore.teacher import Teacher
from trainer.config import TeacherConfig
from trainer.corpora.build import build, is_complete
from trainer.corpora.synthetic import SyntheticSource
from trainer.display import TerminalDisplay
from trainer.examples import open_examples
from trainer.model_shapes import DNNShape
from trainer.optimizers import SGDConfig
from trainer.schedule import NewbobConfig
from trainer.teacher import load_teacher, train_teacher

WORK = Path("runs/benchmarks")
WorkOption = Annotated[
    Path, typer.Option("--work", help="Where the corpus, the teacher and its posteriors are made and kept.")
]

CLASSES = 2008

SAMPLED = 4
"""Every fourth held-out utterance is there for codecs that are fitted to a sample, as the start of a store's
generation takes one; the others are measured."""

FULL = TeacherConfig(epochs=2, optimizer=SGDConfig(0.1), schedule=NewbobConfig(keep_epochs=1))
QUICK = TeacherConfig(epochs=1, model=DNNShape(layers=2, hidden=128), optimizer=SGDConfig(0.1))


class Utterances(Sequence[Tensor]):
    """Log-posteriors by utterance: (frames, classes), float32; read from disk when asked for.

    Args:
        rows: of all utterances there are one after another, (frames, classes), float32, memory-mapped.
        lengths: frames of each utterance there is.
        numbers: the utterances that these are.

    Attributes:
        lengths: frames of each of these utterances.
    """

    def __init__(self, rows: NDArray[np.float32], lengths: Sequence[int], numbers: Sequence[int]) -> None:
        starts = np.cumsum([0, *lengths])
        self.lengths = [lengths[number] for number in numbers]
        self._rows = rows
        self._starts = [int(starts[number]) for number in numbers]

    @property
    def class_count(self) -> int:
        return int(self._rows.shape[1])

    @property
    def frames(self) -> int:
        return sum(self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        start = self._starts[index]
        return torch.from_numpy(np.array(self._rows[start : start + self.lengths[index]]))

    def within(self, frames: int) -> list[Tensor]:
        """The first utterances, as many as fit into so many frames; at least one."""
        return self[: max(int(np.searchsorted(np.cumsum(self.lengths), frames, side="right")), 1)]


@dataclass(frozen=True, slots=True)
class Posteriors:
    """A teacher's log-posteriors.

    Attributes:
        held_out: everything is measured on these utterances.
        sample: other held-out utterances, for codecs that are fitted; nothing is measured on them.
    """

    held_out: Utterances
    sample: Utterances


def prepare(work: Path, quick: bool) -> Posteriors:
    """Make what is missing; the next call finishes an interrupted one. ``quick`` has its own directory."""
    place = work / "quick" if quick else work
    if not _lengths_file(place).exists():
        place.mkdir(parents=True, exist_ok=True)
        profile, config = ("tiny", QUICK) if quick else ("small", FULL)
        _infer(*corpus_and_teacher(place, profile, config), place)
    rows = np.load(_rows_file(place), mmap_mode="r")
    lengths = json.loads(_lengths_file(place).read_text())
    numbers = range(len(lengths))
    sampled = [number for number in numbers if number % SAMPLED == 1]
    measured = [number for number in numbers if number % SAMPLED != 1]
    return Posteriors(Utterances(rows, lengths, measured), Utterances(rows, lengths, sampled))


def corpus_and_teacher(place: Path, profile: str, config: TeacherConfig) -> tuple[Corpus, Teacher]:
    """A synthetic corpus, and a DNN trained on it, both made below ``place`` if they are not there."""
    console = Console()
    workers = 1 if profile == "tiny" else 2
    source, storage = SyntheticSource(profile, 0), open_storage(place / "corpus", writable=True)
    if not is_complete(storage, source, CLASSES):
        build(source, storage, senones=CLASSES, workers=workers)
    directory = place / "teacher"
    with TerminalDisplay(console) as display, _fast_products():
        train_teacher(open_examples(str(place / "corpus"), None), config, directory, display)
    teacher = load_teacher(directory)
    assert teacher is not None
    return Corpus.open(place / "corpus"), teacher


@contextmanager
def _fast_products() -> Iterator[None]:
    """Matrix products in bfloat16 where the processor has them: good enough to train with."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _infer(corpus: Corpus, teacher: Teacher, place: Path) -> None:
    utterances = list(corpus.scan(split="cv"))
    lengths = [utterance.num_frames for utterance in utterances]
    rows = np.lib.format.open_memmap(_rows_file(place), "w+", np.float32, (sum(lengths), corpus.class_count))
    start = 0
    with torch.inference_mode():
        for utterance, length in zip(utterances, lengths, strict=True):
            found = teacher.log_posteriors(torch.from_numpy(utterance.features()))
            rows[start : start + length] = torch.log_softmax(found.float(), dim=-1).numpy()
            start += length
    rows.flush()
    # Written last: without it, the rows are taken for unfinished.
    _lengths_file(place).write_text(json.dumps(lengths))


def _rows_file(place: Path) -> Path:
    return place / "cv.npy"


def _lengths_file(place: Path) -> Path:
    return place / "cv.lengths.json"
