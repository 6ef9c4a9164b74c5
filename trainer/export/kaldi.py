"""Log-likelihoods of a split's utterances as a Kaldi archive, for decoders that read one.

A matrix (frames, classes) of floats for each utterance, log p less the senones' log-prior: what
``latgen-faster-mapped`` takes. See https://kaldi-asr.org/doc/io.html.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from torch import Tensor

from softstore.errors import CorruptDataError, InvalidInputError, StorageError
from softstore.teachers.kaldi_index import Place, index_archive
from softstore.teachers.kaldi_library import kaldi_native_io
from trainer.checkpoint import Checkpoint, write_whole
from trainer.evaluation import check_fits
from trainer.examples import Examples
from trainer.teacher import CheckpointTeacher

_TOGETHER = 16
"""Utterances in one forward pass."""


def write_log_likelihoods(
    checkpoint: Checkpoint,
    examples: Examples,
    split: str,
    archive: Path,
    progress: Callable[[int], None] = lambda frames: None,
) -> Path:
    """Write an archive, ``*.ark``, and a script of the same name, ``*.scp``, whose path is returned.

    Utterances are in stored order. Both files appear when they are whole, the script last.

    Args:
        progress: called with the number of frames just done.

    Raises:
        InvalidInputError: there is no such split, the model was made for other frames, or the archive's name
            does not end in ``.ark``.
        MissingDependencyError: kaldi_native_io is not installed.
        StorageError: a file cannot be written.
    """
    if archive.suffix != ".ark":
        raise InvalidInputError(f"A Kaldi archive's name ends in .ark, not like {archive.name}.")
    library = kaldi_native_io()
    check_fits(checkpoint.model, examples)
    examples.num_frames(split)
    archive = archive.absolute()
    script = archive.with_suffix(".scp")
    temporary = archive.with_name(archive.name + ".tmp")
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        try:
            with library.FloatMatrixWriter(f"ark:{temporary}") as writer:
                written = 0
                for utterance_id, matrix in log_likelihoods(checkpoint, examples, split):
                    writer.write(utterance_id, matrix.numpy())
                    written += 1
                    progress(len(matrix))
            places = _places(temporary, written)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            # One that is there already knows nothing of the new archive.
            script.unlink(missing_ok=True)
            temporary.replace(archive)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else "is the disk full?"
        raise StorageError(f"{archive} cannot be written: {said}") from error
    lines = (f"{utterance_id} {archive}:{place.offset}\n" for utterance_id, place in places.items())
    write_whole(script, "".join(lines).encode())
    return script


def log_likelihoods(checkpoint: Checkpoint, examples: Examples, split: str) -> Iterator[tuple[str, Tensor]]:
    """Each utterance of a split in stored order: its id, and log p less the log-prior, (frames, classes)."""
    teacher = CheckpointTeacher(checkpoint.model, checkpoint.fingerprint, checkpoint.description)
    utterances = examples.in_order(split)
    while together := list(islice(utterances, _TOGETHER)):
        posteriors = teacher.log_posteriors_batch([example.features for example in together])
        for example, log_p in zip(together, posteriors, strict=True):
            yield example.utterance_id, log_p - checkpoint.model.log_prior


def _places(archive: Path, written: int) -> dict[str, Place]:
    """Where each utterance lies; closing fails in silence, so a `RuntimeError` if one is not whole."""
    try:
        places = index_archive(archive)
    except CorruptDataError as error:
        raise RuntimeError from error
    if len(places) < written:
        raise RuntimeError
    return places
