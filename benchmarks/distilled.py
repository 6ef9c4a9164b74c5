"""What the benchmarks of training are run on: a corpus, a teacher of the paper's size, and their store.

Half an hour of synthetic speech and 4 x 2048 rectified linear units, those of `benchmarks.generation`, and a
store of the default codec. Made once in a work directory and found there again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.generation import PAPER
from benchmarks.posteriors import QUICK, corpus_and_teacher
from softstore import Fidelity
from softstore.generate import generate
from softstore.storage import open_storage


@dataclass(frozen=True, slots=True)
class Distilled:
    """Where they lie.

    Attributes:
        teacher: a directory that `trainer.checkpoint.load_model` reads.
    """

    teacher: Path
    store: Path


def distilled(work: Path, quick: bool) -> Distilled:
    """Make what is missing; the next call finishes an interrupted one. ``quick`` has its own directory."""
    place = work / ("generation-quick" if quick else "generation")
    corpus, teacher = corpus_and_teacher(place, "tiny" if quick else "mini", QUICK if quick else PAPER)
    # Beside benchmarks.generation's own store, which that removes.
    found = Distilled(place / "teacher", place / "distilled")
    generate(corpus, teacher, open_storage(found.store, writable=True), Fidelity())
    return found
