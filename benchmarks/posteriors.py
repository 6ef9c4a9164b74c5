"""What benchmarks of codecs and stores are run on: log-posteriors of a teacher of the paper's size.

Two hours of synthetic noisy speech, a teacher of 4 x 2048 rectified linear units trained on it, and its
log-posteriors over the held-out ``cv`` split, of speakers and sentences it has never met. Made once in a work
directory and found there again; remove the directory to make everything afresh.
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
from trainer.config import SGDConfig, TeacherConfig
from trainer.corpora.build import build
from trainer.corpora.synthetic import SyntheticSource
from trainer.display import TerminalDisplay
from trainer.examples import open_examples
from trainer.schedule import NewbobConfig
from trainer.teacher import load_teacher, train_teacher

WORK = Path("runs/benchmarks")
WorkOption = Annotated[
    Path, typer.Option("--work", help="Where the corpus, the teacher and its posteriors are made and kept.")
]

SAMPLE_FRAMES = 40_000
"""About so many frames of the train split are there for codecs that are fitted to a teacher."""

FULL = TeacherConfig(epochs=4, sgd=SGDConfig(0.1), newbob=NewbobConfig(keep_epochs=1))
QUICK = TeacherConfig(layers=2, hidden=128, epochs=1, sgd=SGDConfig(0.1))


class Utterances(Sequence[Tensor]):
    """Log-posteriors by utterance: (frames, classes), float32; read from disk when asked for.

    Attributes:
        rows: of all utterances one after another, (frames, classes), float32, memory-mapped.
        lengths: frames of each utterance.
    """

    def __init__(self, rows: NDArray[np.float32], lengths: Sequence[int]) -> None:
        self.rows = rows
        self.lengths = lengths
        self._starts = np.cumsum([0, *lengths])

    @property
    def class_count(self) -> int:
        return int(self.rows.shape[1])

    @property
    def frames(self) -> int:
        return len(self.rows)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        number = range(len(self))[index]
        return torch.from_numpy(np.array(self.rows[self._starts[number] : self._starts[number + 1]]))

    def within(self, frames: int) -> list[Tensor]:
        """The first utterances, as many as fit into so many frames; at least one."""
        return self[: max(int(np.searchsorted(self._starts, frames, side="right")) - 1, 1)]


@dataclass(frozen=True, slots=True)
class Posteriors:
    """A teacher's log-posteriors.

    Attributes:
        held_out: the cv split; everything is measured here.
        sample: a part of the train split, for codecs that are fitted; nothing is measured here.
    """

    held_out: Utterances
    sample: Utterances


def prepare(work: Path, quick: bool) -> Posteriors:
    """Make what is missing; the next call finishes an interrupted one. ``quick`` has its own directory."""
    place = work / "quick" if quick else work
    names = {"cv": None, "train": SAMPLE_FRAMES}
    missing = [split for split in names if not _lengths_file(place, split).exists()]
    if missing:
        place.mkdir(parents=True, exist_ok=True)
        corpus, teacher = _corpus_and_teacher(place, quick)
        for split in missing:
            _infer(corpus, teacher, split, names[split], place)
    held_out, sample = (_load(place, split) for split in names)
    return Posteriors(held_out, sample)


def _corpus_and_teacher(place: Path, quick: bool) -> tuple[Corpus, Teacher]:
    console = Console()
    source = SyntheticSource("tiny" if quick else "small", 0)
    build(source, open_storage(place / "corpus", writable=True), workers=1 if quick else 2)
    directory = place / "teacher"
    with TerminalDisplay(console) as display, _fast_products():
        train_teacher(
            open_examples(str(place / "corpus"), None), QUICK if quick else FULL, directory, display
        )
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


def _infer(corpus: Corpus, teacher: Teacher, split: str, limit: int | None, place: Path) -> None:
    utterances = list(corpus.scan(split=split))
    frames = sum(int(utterance.row["num_frames"]) for utterance in utterances)
    chosen = utterances[:: max(1, round(frames / limit))] if limit else utterances
    lengths = [int(utterance.row["num_frames"]) for utterance in chosen]
    rows = np.lib.format.open_memmap(
        _rows_file(place, split), "w+", np.float32, (sum(lengths), corpus.class_count)
    )
    start = 0
    with torch.inference_mode():
        for utterance, length in zip(chosen, lengths, strict=True):
            found = teacher.log_posteriors(torch.from_numpy(utterance.features()))
            rows[start : start + length] = torch.log_softmax(found.float(), dim=-1).numpy()
            start += length
    rows.flush()
    # Written last: without it, the rows are taken for unfinished.
    _lengths_file(place, split).write_text(json.dumps(lengths))


def _load(place: Path, split: str) -> Utterances:
    rows = np.load(_rows_file(place, split), mmap_mode="r")
    return Utterances(rows, json.loads(_lengths_file(place, split).read_text()))


def _rows_file(place: Path, split: str) -> Path:
    return place / f"{split}.npy"


def _lengths_file(place: Path, split: str) -> Path:
    return place / f"{split}.lengths.json"
