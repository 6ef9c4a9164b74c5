"""Corpora become Kaldi data directories, and these the same corpora again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softstore import Corpus
from softstore.codecs import TrackSpec
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError
from softstore.format import FEATURES, LABELS, Attributes
from softstore.storage import open_storage
from softstore.writer import create
from tests.kaldi_data import DIMENSIONS, command, imported
from tests.trainer_data import CLASSES, make_learnable_corpus

native = pytest.importorskip("kaldi_native_io")


def write_corpus(path: Path, rows: Sequence[dict[str, Any]]) -> Corpus:
    """Random features in float16, as `trainer.corpora.build` stores them."""
    random = np.random.default_rng(3)
    frames = sum(row["num_frames"] for row in rows)
    attributes = Attributes(
        kind="corpus",
        class_count=2008,
        frame_shift=0.0125,
        shard_frames=1024,
        tracks={FEATURES: TrackSpec("float16", DIMENSIONS), LABELS: TrackSpec("uint16")},
    )
    writer = create(open_storage(path, writable=True), attributes)
    writer.allocate(1)
    features = random.normal(size=(frames, DIMENSIONS)).astype(np.float16)
    writer.write_shard(
        0, rows, {FEATURES: features, LABELS: random.integers(0, 2008, frames).astype(np.uint16)}
    )
    writer.finish()
    return Corpus.open(path)


def row(name: str, speaker: str, split: str, text: str, frames: int = 20) -> dict[str, Any]:
    return {"utterance_id": name, "num_frames": frames, "speaker": speaker, "split": split, "text": text}


def same(left: Corpus, right: Corpus) -> None:
    assert left.class_count == right.class_count
    assert left.attributes.frame_shift == right.attributes.frame_shift
    assert sorted(u.utterance_id for u in left.utterances()) == sorted(
        u.utterance_id for u in right.utterances()
    )
    for utterance in left.utterances():
        other = right[utterance.utterance_id]
        assert (utterance.speaker, utterance.split, utterance.text) == (
            other.speaker,
            other.split,
            other.text,
        )
        assert utterance.features().tobytes() == other.features().tobytes()
        np.testing.assert_array_equal(utterance.labels(), other.labels())


def there_and_back(corpus: Corpus, path: Path) -> Corpus:
    written = command("export-kaldi", corpus.url, "--out", path / "kaldi")
    assert written.exit_code == 0, written.output
    splits = sorted(split.name for split in (path / "kaldi").iterdir())
    arguments = [word for split in splits for word in (f"--{split}", path / "kaldi" / split)]
    for split in splits:
        arguments += ["--ali", path / "kaldi" / split / "pdf.ark"]
    read = imported(*arguments, "--senones", str(corpus.class_count), "--out", path / "back")
    assert read.exit_code == 0, read.output
    assert "Left out: 0" in read.output
    return Corpus.open(path / "back")


def test_there_and_back_is_the_same_corpus(tmp_path: Path) -> None:
    corpus = make_learnable_corpus(tmp_path / "corpus")
    same(corpus, there_and_back(corpus, tmp_path))
    assert corpus.class_count == CLASSES


def test_there_and_back_from_float16(tmp_path: Path) -> None:
    rows = [
        row("z-1", "zoë", "train", "grüße"),
        row("B-2", "ben", "test", ""),
        row("a-2", "anna", "train", "two words", 1),
        row("B-1", "ben", "test", "one"),
    ]
    corpus = write_corpus(tmp_path / "corpus", rows)
    same(corpus, there_and_back(corpus, tmp_path))
    test, train = tmp_path / "kaldi" / "test", tmp_path / "kaldi" / "train"
    assert (test / "utt2spk").read_text() == "B-1 ben\nB-2 ben\n"
    assert (test / "spk2utt").read_text() == "ben B-1 B-2\n"
    assert (test / "text").read_text() == "B-1 one\nB-2\n"
    # Sorted as LC_ALL=C has it, archives too: Kaldi may read them with the option s.
    with native.SequentialFloatMatrixReader(f"scp:{train / 'feats.scp'}") as reader:
        assert [name for name, _ in reader] == ["a-2", "z-1"]
    with native.RandomAccessInt32VectorReader(f"ark,s,cs:{train / 'pdf.ark'}") as vectors:
        np.testing.assert_array_equal(vectors["z-1"], corpus["z-1"].labels())


@pytest.mark.parametrize(
    ("spoilt", "sentence"),
    [
        (row("two words", "anna", "train", ""), "utterance id 'two words'"),
        (row("a-1", "anna b", "train", ""), "speaker 'anna b'"),
        (row("a-1", "anna", "../elsewhere", ""), "names no directory"),
    ],
)
def test_names_that_kaldi_has_not_are_refused(tmp_path: Path, spoilt: dict[str, Any], sentence: str) -> None:
    corpus = write_corpus(tmp_path / "corpus", [spoilt])
    found = command("export-kaldi", corpus.url, "--out", tmp_path / "kaldi")
    assert isinstance(found.exception, InvalidInputError)
    assert sentence in str(found.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_nothing_is_written_over_and_nothing_half_written_stays(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [row("a-1", "", "train", "", 1000)])
    (tmp_path / "kaldi").mkdir()
    found = command("export-kaldi", corpus.url, "--out", tmp_path / "kaldi")
    assert isinstance(found.exception, ConflictError)
    shard = tmp_path / "corpus" / FEATURES / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    found = command("export-kaldi", corpus.url, "--out", tmp_path / "new")
    assert isinstance(found.exception, CorruptDataError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "kaldi"]
