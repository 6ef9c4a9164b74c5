"""Tiny Kaldi data directories and alignments, written by kaldi_native_io."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from trainer.commands.corpus_kaldi import imports

DIMENSIONS = 5
SENONES = 7

Matrices = dict[str, NDArray[np.float32]]
Vectors = dict[str, NDArray[np.int32]]


def library() -> Any:
    return import_module("kaldi_native_io")


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(imports, [str(argument) for argument in arguments])


def imported(*arguments: str | Path) -> Result:
    return command("import-kaldi", *arguments)


def matrices(*names: str, frames: int = 30, dimensions: int = DIMENSIONS) -> Matrices:
    random = np.random.default_rng(len(names))
    return {
        name: random.normal(size=(frames + number, dimensions)).astype(np.float32)
        for number, name in enumerate(names)
    }


def labels_for(features: Matrices) -> Vectors:
    random = np.random.default_rng(1)
    found = {name: random.integers(0, SENONES, len(rows)).astype(np.int32) for name, rows in features.items()}
    next(iter(found.values()))[0] = SENONES - 1
    return found


def write_directory(directory: Path, features: Matrices) -> Path:
    """As after make_fbank.sh; the speaker is the id up to its first dash."""
    directory.mkdir(parents=True)
    with library().FloatMatrixWriter(
        f"ark,scp:{directory / 'feats.ark'},{directory / 'feats.scp'}"
    ) as writer:
        for name, rows in features.items():
            writer.write(name, rows)
    write_table(directory / "utt2spk", {name: name.partition("-")[0] for name in features})
    write_table(directory / "text", {name: f"the words  of {name}" for name in features})
    return directory


def write_table(path: Path, table: dict[str, str]) -> None:
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()), encoding="utf-8")


def write_alignments(path: Path, vectors: Vectors, kind: str = "ark") -> Path:
    with library().Int32VectorWriter(f"{kind}:{path}") as writer:
        for name, row in vectors.items():
            writer.write(name, row.tolist())
    return path


TRAIN = matrices("anna-1", "anna-2", "zoë-1")
CV = matrices("ben-1", "ben-2")


def write_splits(directory: Path) -> Path:
    """train/ and cv/, and pdf.ark with the alignments of both."""
    write_directory(directory / "train", TRAIN)
    write_directory(directory / "cv", CV)
    write_alignments(directory / "pdf.ark", labels_for(TRAIN | CV))
    return directory


def usual(data: Path, *more: str | Path) -> Result:
    splits = ("--train", data / "train", "--cv", data / "cv")
    return imported(*splits, "--ali", data / "pdf.ark", "--out", data / "out", *more)


def binary(path: Path, vectors: Vectors) -> Path:
    return write_alignments(path / "ali.ark", vectors)


def text(path: Path, vectors: Vectors) -> Path:
    return write_alignments(path / "ali.txt", vectors, "ark,t")


def script(path: Path, vectors: Vectors) -> Path:
    with library().Int32VectorWriter(f"ark,scp:{path / 'some.ark'},{path / 'some.scp'}") as writer:
        for name, row in vectors.items():
            writer.write(name, row.tolist())
    return path / "some.scp"
