"""A small corpus whose frames are labelled exactly as a lexicon says: what a decoder must be able to undo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from softstore import Corpus
from softstore.storage import open_storage
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.corpora.build import build
from trainer.corpora.source import AlignedUtterance, Rejected

LEXICON: dict[str, list[tuple[str, ...]]] = {
    "a": [("AE",), ("AX",)],
    "at": [("AE", "T")],
    "bat": [("B", "AE", "T")],
    "bats": [("B", "AE", "T", "S")],
    "sat": [("S", "AE", "T")],
    "stab": [("S", "T", "AE", "B")],
    "too": [("T", "UW")],
    "two": [("T", "UW")],
}
"""Words that begin others, that sound alike, and that can be said in two ways."""

PHONES = sorted({SILENCE, *(phone for found in LEXICON.values() for reading in found for phone in reading)})
PER_SPLIT = {"train": 60, "cv": 10, "test": 10}
PAUSE = 0.3
DIMENSIONS = 40


def sentence(random: np.random.Generator) -> list[str]:
    """Words in any order, but "two" before "bats" only, and "too" last only."""
    words = ["a", "at", "bat", "sat", "stab"]
    said = [words[number] for number in random.integers(len(words), size=random.integers(1, 6))]
    if random.random() < 0.5:
        said += ["two", "bats"]
    if random.random() < 0.5:
        said.append("too")
    return said


def spoken(said: list[str], random: np.random.Generator) -> Alignment:
    """One to three frames in every state; sometimes a pause between words, always at the edges."""
    phones = [SILENCE]
    for place, word in enumerate(said):
        if place and random.random() < PAUSE:
            phones.append(SILENCE)
        readings = LEXICON[word]
        phones += readings[int(random.integers(len(readings)))]
    phones.append(SILENCE)
    states = len(phones) * STATES
    return Alignment(
        tuple(phones), np.repeat(np.arange(states), random.integers(1, 4, states)).astype(np.int32)
    )


class Spoken:
    """The corpus as a `trainer.corpora.source.Source`."""

    description: Mapping[str, object] = {"name": "spoken", "licence": "none"}
    lexicon: Mapping[str, list[tuple[str, ...]]] = LEXICON
    total = sum(PER_SPLIT.values())

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        random = np.random.default_rng(0)
        means = random.normal(scale=2, size=(len(PHONES), STATES, DIMENSIONS))
        for split, count in PER_SPLIT.items():
            for number in range(count):
                said = sentence(random)
                alignment = spoken(said, random)
                position, state = np.divmod(alignment.frame_states, STATES)
                phones = np.array([PHONES.index(phone) for phone in alignment.phones])
                features = means[phones[position], state] + random.normal(size=(len(state), DIMENSIONS))
                yield AlignedUtterance(
                    f"{split}-{number:02}",
                    f"speaker-{split}",
                    split,
                    " ".join(said),
                    features.astype(np.float32),
                    alignment,
                )


def make_spoken_corpus(path: Path) -> Corpus:
    build(Spoken(), open_storage(path, writable=True), senones=50)
    return Corpus.open(path)
