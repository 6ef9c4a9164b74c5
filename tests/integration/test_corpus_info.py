"""`softstore corpus make` and `info`: what a corpus is good for, in figures that can be checked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from softstore import Corpus
from softstore.cli import build as command_line
from softstore.errors import ConflictError
from softstore.storage import open_storage
from tests.unit.tone_speechocean762 import write_lexicon, write_part
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.corpora.build import build
from trainer.corpora.source import LOG_LIKELIHOOD, AlignedUtterance, Rejected
from trainer.corpora.summary import summarise

PHONES = (SILENCE, "B", "A", SILENCE)
LENGTHS = (4, 8, 4, 8, 4, 8, 4, 8)
"""Frames of every state, by utterance; the last one is cv."""


class Measured:
    """Eight utterances of two phones between silences; number n has -10 - n nats a frame."""

    description: Mapping[str, object] = {"name": "measured", "licence": "none", "test": "no [test] at all"}
    lexicon: Mapping[str, list[tuple[str, ...]]] = {"ba": [("B", "A")]}
    total = 15

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        yield Rejected("empty", "the transcript has no words")
        yield from (Rejected(f"young{number}", f"younger than 16: {number}") for number in range(6))
        for number, length in enumerate(LENGTHS):
            states = np.repeat(np.arange(len(PHONES) * STATES, dtype=np.int32), length)
            features = np.random.default_rng(number).normal(size=(len(states), 40)).astype(np.float32)
            split = "cv" if number == len(LENGTHS) - 1 else "train"
            extra = {LOG_LIKELIHOOD: -10.0 - number}
            alignment = Alignment(PHONES, states)
            yield AlignedUtterance(f"n{number}", f"s-{split}", split, "ba", features, alignment, extra)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    storage = open_storage(str(tmp_path_factory.mktemp("measured") / "corpus"), writable=True)
    build(Measured(), storage, senones=9)
    return Corpus.open(storage.url)


def softstore(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command_line(), [str(argument) for argument in arguments])


def test_the_summary_counts_training_frames_and_weighs_utterances_by_theirs(measured: Corpus) -> None:
    found = summarise(measured)
    use = found.senones
    assert (use.wanted, use.tied, use.trained) == (9, 9, 9)
    # Six senones of B and A with 40 training frames each, three of silence with twice as many.
    assert (use.least, use.lower_quartile, use.median, use.upper_quartile, use.most) == (40, 40, 40, 80, 80)
    assert found.alignment.silence_share == pytest.approx(0.5)
    expected = np.average(-10.0 - np.arange(len(LENGTHS)), weights=LENGTHS)
    assert found.alignment.log_likelihood == pytest.approx(expected)
    assert (found.alignment.worst_utterance, found.alignment.worst_log_likelihood) == ("n7", -17.0)
    assert {kind: len(entries) for kind, entries in found.left_out.items()} == {
        "younger than 16": 6,
        "the transcript has no words": 1,
    }


def test_info_says_it_to_people_and_as_json(measured: Corpus) -> None:
    said = softstore("corpus", "info", measured.url).output
    for words in (
        "Test split: no [test] at all.",
        "Senones: 9, of which 9 occur in train",
        "40 at least, 40 | 40 | 80 at the quartiles, 80 at most",
        "-17.00 in the worst utterance (n7); 50.0% of all frames are silence",
        "Left out: 7 of 15 utterances.",
        "6 × younger than 16",
        "    young4: 4\n",
        "… and 1 more, all in --json",
    ):
        assert words in said
    assert "young5" not in said

    found = json.loads(softstore("corpus", "info", measured.url, "--json").output)
    assert found["splits"]["cv"]["hours"] == pytest.approx(8 * 12 * 0.01 / 3600)
    assert found["senones"]["upper_quartile"] == 80
    assert found["alignment"]["worst_utterance"] == "n7"
    assert found["left_out"] == {"younger than 16": 6, "the transcript has no words": 1}
    assert {"utterance_id": "young5", "reason": "younger than 16: 5"} in found["corpus"]["rejected"]


def test_speechocean762_is_made_once_and_remembers_its_least_age(tmp_path: Path) -> None:
    write_lexicon(tmp_path)
    write_part(tmp_path, "train", speakers=11, first=10, utterances=33)
    out = tmp_path / "corpus"
    make: list[str | Path] = [
        "corpus",
        "make",
        "speechocean762",
        "--data",
        tmp_path,
        "--out",
        out,
        "--senones",
        "24",
    ]
    made = softstore(*make)
    assert made.exit_code == 0, made.output
    assert "3 × younger than 16" in made.output
    found = Corpus.open(out)
    assert len(found) == 30
    assert {row["split"] for row in found.manifest.table.to_pylist()} == {"train", "cv", "test"}
    assert found.attributes.corpus["test"] == "speakers cut from the train part"
    assert "log-likelihood" in softstore("corpus", "info", out).output

    assert "Nothing to do" in softstore(*make).output
    assert isinstance(softstore(*make, "--min-age", "8").exception, ConflictError)
