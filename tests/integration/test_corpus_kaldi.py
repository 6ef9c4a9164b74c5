"""Kaldi data directories and pdf alignments become corpora."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from softstore import Corpus
from softstore.errors import ConflictError, InvalidInputError
from tests.kaldi_data import (
    CV,
    SENONES,
    TRAIN,
    Vectors,
    binary,
    imported,
    labels_for,
    matrices,
    script,
    text,
    usual,
    write_alignments,
    write_directory,
    write_splits,
    write_table,
)
from trainer.examples import open_examples

native = pytest.importorskip("kaldi_native_io")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_splits(tmp_path)


@pytest.mark.parametrize("write", [binary, text, script])
def test_features_labels_text_and_speakers_are_kaldis(
    data: Path, write: Callable[[Path, Vectors], Path]
) -> None:
    vectors = labels_for(TRAIN | CV)
    found = imported(
        *("--train", data / "train", "--cv", data / "cv"),
        *("--ali", write(data, vectors), "--out", data / "corpus"),
    )
    assert found.exit_code == 0, found.output
    assert "Left out: 0" in found.output
    corpus = Corpus.open(data / "corpus")
    assert corpus.class_count == SENONES
    assert corpus.attributes.frame_shift == 0.01
    assert corpus.attributes.complete is not None
    for split, features in (("train", TRAIN), ("cv", CV)):
        utterances = list(corpus.utterances(split=split))
        assert [utterance.utterance_id for utterance in utterances] == list(features)
        for utterance in utterances:
            name = utterance.utterance_id
            np.testing.assert_array_equal(utterance.features(), features[name])
            np.testing.assert_array_equal(utterance.labels(), vectors[name])
            assert (utterance.speaker, utterance.text) == (name.partition("-")[0], f"the words of {name}")
    assert len(list(open_examples(data / "corpus").in_order("train"))) == len(TRAIN)


def test_compressed_features_a_frame_shift_and_a_number_of_senones(data: Path) -> None:
    train = data / "train"
    with native.CompressedMatrixWriter(f"ark,scp:{train / 'c.ark'},{train / 'feats.scp'}") as writer:
        for name, rows in TRAIN.items():
            writer.write(name, rows, native.CompressionMethod.kAutomaticMethod)
    for split in ("train", "cv"):
        (data / split / "frame_shift").write_text("0.0125\n")
    found = usual(data, "--senones", "2008")
    assert found.exit_code == 0, found.output
    corpus = Corpus.open(data / "out")
    assert corpus.class_count == 2008
    assert corpus.attributes.frame_shift == 0.0125
    for name, rows in TRAIN.items():
        np.testing.assert_allclose(corpus[name].features(), rows, atol=0.05)


def test_what_cannot_be_used_is_left_out_with_the_reason(data: Path) -> None:
    names = ["a-fits", "a-unaligned", "a-subsampled", "a-unspoken", "a-nobody", "a-silent", "a-none"]
    features = matrices(*names)
    vectors = labels_for(features)
    del vectors["a-unaligned"]
    vectors["a-subsampled"] = vectors["a-subsampled"][::3]
    features["a-silent"] = np.zeros((0, 0), np.float32)
    odd = write_directory(data / "odd", features)
    lines = (odd / "feats.scp").read_text().splitlines(keepends=True)
    (odd / "feats.scp").write_text("".join(line for line in lines if not line.startswith("a-none")))
    write_table(odd / "text", {name: "words" for name in names if name != "a-unspoken"})
    write_table(odd / "utt2spk", {name: "anna" for name in names if name != "a-nobody"})
    ali = write_alignments(data / "odd.ark", vectors)
    found = imported("--train", odd, "--ali", ali, "--out", data / "out")
    assert found.exit_code == 0, found.output
    assert "Left out: 6 of 7 utterances" in found.output
    corpus = Corpus.open(data / "out")
    assert [utterance.utterance_id for utterance in corpus.utterances()] == ["a-fits"]
    rejected = {entry["utterance_id"]: entry["reason"] for entry in corpus.attributes.corpus["rejected"]}
    assert rejected == {
        "a-unaligned": "no alignment",
        "a-subsampled": "the alignment does not fit: 32 frames, 11 labels; each frame needs one, so align "
        "with a model that does not subsample",
        "a-unspoken": "no text: text has no line for it",
        "a-nobody": "no speaker: utt2spk has none for it",
        "a-silent": "no frames",
        "a-none": "no features: feats.scp has none for it",
    }


def test_what_was_begun_is_finished_and_what_is_finished_left_alone(tmp_path: Path) -> None:
    """Two utterances in a shard each; the second one's features are to be mended first."""
    good = matrices("a-1", "a-2", frames=20_000, dimensions=1)
    bad = good | {"a-2": np.full_like(good["a-2"], np.nan)}
    directory = write_directory(tmp_path / "train", bad)
    ali = write_alignments(tmp_path / "pdf.ark", labels_for(good))
    arguments = ("--train", directory, "--ali", ali, "--out", tmp_path / "out")
    found = imported(*arguments)
    assert isinstance(found.exception, InvalidInputError)
    assert "'a-2' are not finite" in str(found.exception)
    assert len(begun := Corpus.open(tmp_path / "out")) == 1
    assert begun.attributes.complete is None
    with native.FloatMatrixWriter(f"ark:{directory / 'feats.ark'}") as writer:
        for name, rows in good.items():
            writer.write(name, rows)
    assert imported(*arguments).exit_code == 0
    corpus = Corpus.open(tmp_path / "out")
    for name, rows in good.items():
        np.testing.assert_array_equal(corpus[name].features(), rows)
    again = imported(*arguments)
    assert again.exit_code == 0
    assert "Nothing to do" in again.output
    write_table(directory / "text", dict.fromkeys(good, "other words"))
    assert isinstance(imported(*arguments).exception, ConflictError)
