"""A Kaldi data directory and alignments as pdf-ids → labelled utterances.

    DIR/feats.scp    utterance-id archive:offset     matrices of features, compressed or not
    DIR/utt2spk      utterance-id speaker-id
    DIR/text         utterance-id words…
    DIR/frame_shift  seconds, 0.01 where there is none

Alignments: `trainer.corpora.kaldi_alignments`. See https://kaldi-asr.org/doc/data_prep.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError
from softstore.teachers.kaldi_index import Place, index_script
from softstore.teachers.kaldi_library import kaldi_native_io
from trainer.corpora.kaldi_alignments import check_there, read_alignments
from trainer.corpora.labelled import Found, Labelled, Progress

FRAME_SHIFT = 0.01
REQUIRED = ("feats.scp", "utt2spk", "text")

Alignments = Mapping[str, NDArray[np.int32]]


def find_kaldi(
    splits: Mapping[str, Path],
    alignments: Sequence[Path],
    progress: Progress = lambda stage, done, total: None,
) -> Found:
    """The utterances of some data directories, in their order; features are left where they are.

    Alignments are kept in memory: 4 bytes a frame.

    Args:
        splits: a directory by the name of its split.
        alignments: files that have the alignments of these utterances between them, and maybe of others.

    Raises:
        NotFoundError: a directory or file is not there.
        InvalidInputError: one cannot be used; ``segments`` are not, where there is no ``feats.scp``.
        CorruptDataError: an archive is damaged.
        MissingDependencyError: kaldi_native_io is not installed.
    """
    for directory in splits.values():
        _check_layout(directory)
    aligned = read_alignments(alignments)
    found = Found()
    for split, directory in splits.items():
        _add_directory(found, split, directory, aligned, progress)
    return found


def _check_layout(directory: Path) -> None:
    missing = [name for name in REQUIRED if not (directory / name).is_file()]
    if missing:
        raise NotFoundError(
            f"{directory} is no Kaldi data directory with features: it has no {', no '.join(missing)}."
        )


def _add_directory(
    found: Found, split: str, directory: Path, aligned: Alignments, progress: Progress
) -> None:
    speakers, texts = _read_table(directory / "utt2spk"), _read_table(directory / "text")
    script = directory / "feats.scp"
    places = index_script(script)
    milliseconds = round(1000 * _frame_shift(directory), 6)
    for done, (utterance_id, place) in enumerate(places.items()):
        progress(f"Looking at {split}", done, len(places))
        if not speakers.get(utterance_id):
            found.reject(utterance_id, "no speaker: utt2spk has none for it")
        elif utterance_id not in texts:
            found.reject(utterance_id, "no text: text has no line for it")
        elif utterance_id not in aligned:
            found.reject(utterance_id, "no alignment")
        else:
            check_there(place, script, utterance_id)
            frames, dimensions = _shape(place, utterance_id)
            utterance = Labelled(
                utterance_id,
                speakers[utterance_id],
                split,
                texts[utterance_id],
                aligned[utterance_id],
                {"kind": "Kaldi features", "dimensions": dimensions, "frame_shift_ms": milliseconds},
                partial(_matrix, place, utterance_id),
            )
            found.add(utterance, frames)
    progress(f"Looking at {split}", len(places), len(places))
    for utterance_id in sorted((speakers.keys() | texts.keys()) - places.keys()):
        found.reject(utterance_id, "no features: feats.scp has none for it")


def _read_table(path: Path) -> dict[str, str]:
    """The rest of each line by its first word, separated by single spaces."""
    try:
        lines = path.read_bytes().decode().split("\n")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not a text file in UTF-8.") from error
    found: dict[str, str] = {}
    for line in lines:
        key, *words = line.split() or [""]
        if key in found:
            raise InvalidInputError(f"{path} has two lines for {key!r}.")
        if key:
            found[key] = " ".join(words)
    return found


def _frame_shift(directory: Path) -> float:
    path = directory / "frame_shift"
    if not path.is_file():
        return FRAME_SHIFT
    try:
        shift = float(path.read_bytes())
    except ValueError:
        shift = math.nan
    if not 0 < shift < math.inf:
        raise InvalidInputError(
            f"{path} is to hold the seconds from one frame to the next, a number above 0."
        )
    return shift


def _shape(place: Place, utterance_id: str) -> tuple[int, int]:
    try:
        shape = kaldi_native_io().MatrixShape.read(f"{place.path}:{place.offset}")
    except (RuntimeError, UnicodeDecodeError) as error:
        raise _unreadable(place, utterance_id) from error
    return int(shape.num_rows), int(shape.num_cols)


def _matrix(place: Place, utterance_id: str) -> NDArray[np.float32]:
    try:
        # An absolute path and an offset: never one of the commands that Kaldi would run.
        matrix = kaldi_native_io().FloatMatrix.read(f"{place.path}:{place.offset}")
    except (RuntimeError, UnicodeDecodeError) as error:
        raise _unreadable(place, utterance_id) from error
    return np.array(matrix.numpy(), np.float32)


def _unreadable(place: Place, utterance_id: str) -> CorruptDataError:
    return CorruptDataError(
        f"Utterance {utterance_id!r} cannot be read at byte {place.offset} of {place.path}: it is no matrix."
    )
