"""Log-posteriors made elsewhere, in a Kaldi archive: ``ark:PATH``, ``scp:PATH``, or a file so named.

Matrices (frames, classes) of logits or log-posteriors, float, double or compressed, binary or text, by
utterance id. A file ``PATH.json`` beside may say more:

    {"capture_temperature": 2, "description": "logits of the 2015 system, divided by 2"}

Compressed matrices (CM, CM2, CM3) give back what the compression left: the store's certificate is against
that, and a capture temperature multiplies its errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError
from softstore.teachers import declared
from softstore.teachers.called import CPU
from softstore.teachers.kaldi_index import Place, index_archive, index_script
from softstore.teachers.kaldi_library import kaldi_native_io


def kaldi_teacher(kind: str, path: Path) -> KaldiTeacher:
    """The archive (``kind`` "ark") or script ("scp") at a path.

    Raises:
        NotFoundError: there is no such file.
        CorruptDataError: it is damaged, or no archive of matrices.
        InvalidInputError: it is empty, or it or what lies beside it cannot be used.
        MissingDependencyError: kaldi_native_io is not installed.
    """
    kaldi_native_io()
    places = index_script(path) if kind == "scp" else index_archive(path)
    if not places:
        raise InvalidInputError(f"{path} holds no matrices.")
    said = _beside(path)
    description = {"kind": "kaldi", "teacher": f"{kind}:{path}", "utterances": len(places), **said}
    temperature = declared.checked_temperature(said.get("capture_temperature", 1.0), f"{path}.json")
    teacher = KaldiTeacher(path, kind, places, description, temperature)
    first = next(iter(places))
    teacher.class_count = teacher.stored_log_posteriors(first).shape[1]
    return teacher


@dataclass
class KaldiTeacher:
    """An archive as `softstore.teacher.Teacher` that is asked by utterance id.

    Only where each matrix lies is kept in memory, a few hundred bytes for each.
    """

    path: Path
    kind: str
    places: Mapping[str, Place]
    description: Mapping[str, Any]
    capture_temperature: float
    class_count: int | None = None
    device: torch.device = CPU

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hex of the archive's files, and the script's entries; reads all of it, once."""
        files = list(dict.fromkeys(place.path for place in self.places.values()))
        digest = hashlib.sha256()
        if self.kind == "scp":
            numbers = {path: number for number, path in enumerate(files)}
            for utterance_id, place in self.places.items():
                digest.update(f"{utterance_id} {numbers[place.path]}:{place.offset}\n".encode())
        for path in files:
            with Path(path).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return declared.at_temperature(digest.hexdigest(), self.capture_temperature)

    def log_posteriors(self, features: Tensor) -> Tensor:
        """
        Raises:
            InvalidInputError: always; see `stored_log_posteriors`.
        """
        raise InvalidInputError(f"{self.path} holds posteriors by utterance id, not by features.")

    def stored_log_posteriors(self, utterance_id: str) -> Tensor:
        """The matrix of an utterance, (frames, classes), float32.

        Raises:
            InvalidInputError: there is none.
            NotFoundError: the file that a script names is not there.
            CorruptDataError: it cannot be read.
        """
        place = self.places.get(utterance_id)
        if place is None:
            raise InvalidInputError(f"{self.path} holds no posteriors of utterance {utterance_id!r}.")
        if not Path(place.path).is_file():
            raise NotFoundError(
                f"There is no file {place.path}, where {self.path} has utterance {utterance_id!r}."
            )
        try:
            # An absolute path and an offset: never one of the commands that Kaldi would run.
            matrix = kaldi_native_io().FloatMatrix.read(f"{place.path}:{place.offset}")
        except (RuntimeError, UnicodeDecodeError) as error:
            raise CorruptDataError(
                f"Utterance {utterance_id!r} cannot be read at byte {place.offset} of {place.path}: "
                "it is no matrix."
            ) from error
        return torch.from_numpy(matrix.numpy().copy()).to(self.device, non_blocking=True)

    def to(self, device: torch.device) -> KaldiTeacher:
        return replace(self, device=device)


def _beside(path: Path) -> dict[str, Any]:
    """What the JSON file beside an archive says; nothing if there is none."""
    beside = path.with_name(path.name + ".json")
    if not beside.exists():
        return {}
    try:
        said = json.loads(beside.read_bytes())
    except ValueError as error:
        raise InvalidInputError(f"{beside} is not JSON: {error}.") from error
    if not isinstance(said, dict) or not said.keys() <= {"capture_temperature", "description"}:
        raise InvalidInputError(
            f"{beside} is no object with `capture_temperature`, `description`, or both, and nothing else."
        )
    return said
