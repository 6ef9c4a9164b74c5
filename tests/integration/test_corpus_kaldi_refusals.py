"""Kaldi data directories and alignments that cannot become a corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError, SoftstoreError
from tests.kaldi_data import (
    CV,
    DIMENSIONS,
    SENONES,
    TRAIN,
    binary,
    imported,
    labels_for,
    matrices,
    text,
    usual,
    write_alignments,
    write_directory,
    write_splits,
    write_table,
)
from trainer.corpora.kaldi_alignments import read_alignments

pytest.importorskip("kaldi_native_io")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_splits(tmp_path)


def other_dimensions(data: Path) -> None:
    (data / "cv").rename(data / "old")
    write_directory(data / "cv", matrices(*CV, dimensions=DIMENSIONS + 1))


def no_features(data: Path) -> None:
    (data / "cv" / "feats.scp").unlink()


def no_archive(data: Path) -> None:
    (data / "train" / "feats.ark").unlink()


def a_command(data: Path) -> None:
    write_table(data / "train" / "feats.scp", {"anna-1": f"touch {data / 'ran'} |"})


def no_matrices(data: Path) -> None:
    (data / "train" / "feats.ark").write_bytes(bytes(4096))


def no_alignments(data: Path) -> None:
    (data / "pdf.ark").unlink()


def matrices_for_alignments(data: Path) -> None:
    (data / "pdf.ark").write_bytes((data / "train" / "feats.ark").read_bytes())


def truncated(data: Path) -> None:
    (data / "pdf.ark").write_bytes((data / "pdf.ark").read_bytes()[:-7])


def truncated_text(data: Path) -> None:
    (data / "pdf.ark").write_bytes(text(data, labels_for(TRAIN | CV)).read_bytes()[:-3])


def no_text(data: Path) -> None:
    (data / "pdf.ark").write_bytes(b"anna-1 1 2 x\n")


def zeros(data: Path) -> None:
    (data / "pdf.ark").write_bytes(bytes(100))


def aligned_twice(data: Path) -> None:
    (data / "pdf.ark").write_bytes(2 * (data / "pdf.ark").read_bytes())


def in_both_splits(data: Path) -> None:
    for name in ("feats.scp", "utt2spk", "text"):
        (data / "cv" / name).write_bytes((data / "train" / name).read_bytes())


def listed_twice(data: Path) -> None:
    (data / "train" / "utt2spk").write_bytes(2 * (data / "train" / "utt2spk").read_bytes())


def latin(data: Path) -> None:
    (data / "train" / "text").write_bytes("anna-1 Grüße\n".encode("latin-1"))


def no_shift(data: Path) -> None:
    (data / "train" / "frame_shift").write_text("ten")


def nothing_aligned(data: Path) -> None:
    write_alignments(data / "pdf.ark", {"somebody": np.zeros(3, np.int32)})


def negative(data: Path) -> None:
    vectors = labels_for(TRAIN | CV)
    vectors["ben-1"][3] = -1
    write_alignments(data / "pdf.ark", vectors)


def enormous(data: Path) -> None:
    vectors = labels_for(TRAIN | CV)
    vectors["ben-1"][3] = 1 << 30
    write_alignments(data / "pdf.ark", vectors)


@pytest.mark.parametrize(
    ("spoil", "error", "sentence"),
    [
        (other_dimensions, InvalidInputError, "'dimensions': 6"),
        (no_features, NotFoundError, "it has no feats.scp"),
        (no_archive, NotFoundError, "feats.ark, where"),
        (a_command, InvalidInputError, "names a command"),
        (no_matrices, CorruptDataError, "'anna-1' cannot be read at byte"),
        (no_alignments, NotFoundError, "what ali-to-pdf wrote"),
        (matrices_for_alignments, CorruptDataError, "no vectors of int32"),
        (truncated, CorruptDataError, "pdf.ark is damaged"),
        (truncated_text, CorruptDataError, "pdf.ark is damaged"),
        (no_text, CorruptDataError, "pdf.ark is damaged"),
        (zeros, CorruptDataError, "pdf.ark is damaged"),
        (aligned_twice, InvalidInputError, "'anna-1' is aligned twice"),
        (in_both_splits, InvalidInputError, "'anna-1' is there twice"),
        (listed_twice, InvalidInputError, "two lines for 'anna-1'"),
        (latin, InvalidInputError, "UTF-8"),
        (no_shift, InvalidInputError, "seconds from one frame"),
        (nothing_aligned, InvalidInputError, "anna-1: no alignment"),
        (negative, InvalidInputError, "'ben-1' are not all between 0 and 6"),
        (enormous, InvalidInputError, "no more than 65,536 senones"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    data: Path, spoil: Callable[[Path], None], error: type[SoftstoreError], sentence: str
) -> None:
    spoil(data)
    found = usual(data)
    assert type(found.exception) is error, found.output
    assert sentence in str(found.exception)
    assert "\n" not in str(found.exception)
    assert not (data / "out").exists()
    assert not (data / "ran").exists()


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("ali.1.gz", InvalidInputError, "ali-to-pdf final.mdl"),
        ("commands.scp", InvalidInputError, "names a command"),
    ],
)
def test_alignments_that_are_not_read(
    data: Path, name: str, error: type[SoftstoreError], sentence: str
) -> None:
    (data / name).write_text(f"anna-1 touch {data / 'ran'} |\n")
    found = imported("--train", data / "train", "--ali", data / name, "--out", data / "out")
    assert type(found.exception) is error
    assert sentence in str(found.exception)
    assert not (data / "ran").exists()


def test_features_that_are_cut_short_are_an_error(data: Path) -> None:
    archive = data / "train" / "feats.ark"
    archive.write_bytes(archive.read_bytes()[:-7])
    found = usual(data)
    assert isinstance(found.exception, CorruptDataError)
    assert "'zoë-1' cannot be read at byte" in str(found.exception)


def test_too_few_senones_are_refused(data: Path) -> None:
    found = usual(data, "--senones", str(SENONES - 1))
    assert isinstance(found.exception, InvalidInputError)
    assert "between 0 and 5" in str(found.exception)


def test_an_archive_cut_anywhere_but_between_utterances_is_damaged(tmp_path: Path) -> None:
    vectors = {"ä": np.arange(3, dtype=np.int32), "b": np.array([7], np.int32)}
    for write in (binary, text):
        path = write(tmp_path, vectors)
        whole = path.read_bytes()
        between = whole.index(b"b ")
        for end in range(1, len(whole)):
            path.write_bytes(whole[:end])
            if end == between:
                assert list(read_alignments([path])) == ["ä"]
            else:
                with pytest.raises(CorruptDataError, match="damaged at byte"):
                    read_alignments([path])
