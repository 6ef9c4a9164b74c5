"""A corpus → Kaldi data directories, one for each split, as `trainer.corpora.kaldi` reads them.

    DIR/SPLIT/feats.ark, feats.scp    features, float32
    DIR/SPLIT/pdf.ark                 senone of each frame, int32, as ali-to-pdf writes pdf-ids
    DIR/SPLIT/text, utt2spk, spk2utt, frame_shift

Everything is in the order of utterance ids, as Kaldi has it (LC_ALL=C). Ids are left as they are, although
Kaldi likes them to begin with the speaker's: log-likelihoods and alignments are found by them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from softstore.corpus import Corpus
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError, StorageError
from softstore.format import FEATURES, LABELS
from softstore.teachers.kaldi_index import index_archive
from softstore.teachers.kaldi_library import kaldi_native_io
from softstore.utterance import Utterance
from trainer.checkpoint import write_whole
from trainer.corpora.kaldi_alignments import read_alignments


def write_kaldi(
    corpus: Corpus, directory: Path, progress: Callable[[int], None] = lambda utterances: None
) -> dict[str, int]:
    """Write a corpus; the directory appears when it is whole. Returns the utterances of each split.

    Who has no speaker is one of their own, as Kaldi wants it.

    Args:
        directory: must not be there yet.
        progress: called with the number of utterances just done.

    Raises:
        ConflictError: there is something at that place already.
        InvalidInputError: the corpus has no features or labels, or an id or split that Kaldi could not read.
        CorruptDataError: bytes of the corpus are missing or damaged.
        MissingDependencyError: kaldi_native_io is not installed.
        StorageError: a file cannot be written.
    """
    directory = directory.absolute()
    if directory.exists():
        raise ConflictError(f"{directory} is there already: choose another place, or remove it.")
    missing = {FEATURES, LABELS} - set(corpus.attributes.tracks)
    if missing:
        raise InvalidInputError(f"{corpus.url} has no {' and no '.join(sorted(missing))} to write.")
    kaldi_native_io()
    splits: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in corpus.utterances():
        _check_names(utterance)
        splits[utterance.split].append(utterance)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as beside:
            whole = Path(beside) / directory.name
            for split, utterances in splits.items():
                (whole / split).mkdir(parents=True)
                utterances.sort(key=lambda utterance: utterance.utterance_id)
                _write_archives(whole / split, utterances, progress)
                _write_tables(whole / split, utterances, directory / split, corpus.attributes.frame_shift)
            whole.rename(directory)
    except OSError as error:
        raise StorageError(f"{directory} cannot be written: {error.strerror}.") from error
    return {split: len(utterances) for split, utterances in splits.items()}


def _check_names(utterance: Utterance) -> None:
    """Kaldi takes its tables apart at white space, and a split becomes a directory."""
    for what, name in (("utterance id", utterance.utterance_id), ("speaker", utterance.speaker or "-")):
        if name.split() != [name]:
            raise InvalidInputError(
                f"Kaldi has no name for the {what} {name!r}: white space ends a name there."
            )
    split = utterance.split
    if not split or Path(split).name != split:
        raise InvalidInputError(f"The split {split!r} of {utterance.utterance_id!r} names no directory.")


def _write_archives(there: Path, utterances: Sequence[Utterance], progress: Callable[[int], None]) -> None:
    library = kaldi_native_io()
    features, labels = there / "feats.ark", there / "pdf.ark"
    try:
        with (
            library.FloatMatrixWriter(f"ark:{features}") as matrices,
            library.Int32VectorWriter(f"ark:{labels}") as vectors,
        ):
            for utterance in utterances:
                matrices.write(utterance.utterance_id, np.ascontiguousarray(utterance.features()))
                vectors.write(utterance.utterance_id, utterance.labels().tolist())
                progress(1)
    except RuntimeError as error:
        raise _full(there) from error
    try:
        # Closing fails in silence: only what is read again was written.
        whole = len(index_archive(features)) == len(read_alignments([labels])) == len(utterances)
    except CorruptDataError as error:
        raise _full(there) from error
    if not whole:
        raise _full(there)
    for path in (features, labels):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _write_tables(there: Path, utterances: Sequence[Utterance], final: Path, frame_shift: float) -> None:
    places = index_archive(there / "feats.ark")
    speakers = {
        utterance.utterance_id: utterance.speaker or utterance.utterance_id for utterance in utterances
    }
    members: dict[str, list[str]] = defaultdict(list)
    for utterance_id, speaker in speakers.items():
        members[speaker].append(utterance_id)
    tables = {
        "feats.scp": {name: f"{final / 'feats.ark'}:{place.offset}" for name, place in places.items()},
        "text": {utterance.utterance_id: " ".join(utterance.text.split()) for utterance in utterances},
        "utt2spk": speakers,
        "spk2utt": {speaker: " ".join(members[speaker]) for speaker in sorted(members)},
    }
    for name, table in tables.items():
        write_whole(
            there / name, "".join(f"{key} {value}".rstrip() + "\n" for key, value in table.items()).encode()
        )
    write_whole(there / "frame_shift", f"{frame_shift!r}\n".encode())


def _full(there: Path) -> StorageError:
    return StorageError(f"The archives in {there} cannot be written: is the disk full?")
