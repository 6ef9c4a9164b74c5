"""Where the matrices of a Kaldi archive lie: read once, without the matrices.

An archive (``.ark``) is one "utterance-id matrix" after another, binary or text; a script (``.scp``) has a
line "utterance-id path:offset" for each matrix. See https://kaldi-asr.org/doc/io.html.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError

_LONGEST_ID = 4096
_ENTRY = re.compile(r"(?P<path>.*?)(:(?P<offset>\d+))?")
_BYTES = {b"FM": 4, b"DM": 8, b"CM": 1, b"CM2": 2, b"CM3": 1}
"""Bytes of an element, by the matrix's type; CM has 8 bytes a column besides."""


class Place(NamedTuple):
    """Where one matrix begins: an absolute path, and an offset in bytes."""

    path: str
    offset: int


def index_archive(path: Path) -> dict[str, Place]:
    """The matrices of an archive, in its order: seeks from one to the next.

    Raises:
        NotFoundError: there is no such file.
        CorruptDataError: it is truncated, or no archive of matrices.
        InvalidInputError: an utterance is in it twice.
    """
    where = str(path.absolute())
    found: dict[str, Place] = {}
    with _opened(path) as file:
        size = path.stat().st_size
        while utterance_id := _read_id(file, path):
            if utterance_id in found:
                raise InvalidInputError(f"{path} holds utterance {utterance_id!r} twice.")
            found[utterance_id] = Place(where, file.tell())
            try:
                _skip_matrix(file)
            except (struct.error, ValueError) as error:
                raise CorruptDataError(f"{path} holds no matrix for utterance {utterance_id!r}.") from error
            if file.tell() > size:
                raise CorruptDataError(f"{path} ends within utterance {utterance_id!r}: copy it again.")
    return found


def index_script(path: Path) -> dict[str, Place]:
    """The matrices a script names, in its order. Relative paths are relative to the working directory.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: a line is something else, a command for instance, or an utterance is there twice.
    """
    found: dict[str, Place] = {}
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                utterance_id, entry = line.decode().strip().split(maxsplit=1)
            except ValueError as error:
                raise InvalidInputError(
                    f"Line {number} of {path} is not an utterance id and a place."
                ) from error
            if entry.startswith("|") or entry.endswith(("|", "]")):
                raise InvalidInputError(
                    f"Line {number} of {path} names a command or part of a matrix: only path:offset is read."
                )
            if utterance_id in found:
                raise InvalidInputError(f"{path} holds utterance {utterance_id!r} twice.")
            match = _ENTRY.fullmatch(entry)
            assert match is not None
            found[utterance_id] = Place(str(Path(match["path"]).absolute()), int(match["offset"] or 0))
    return found


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise NotFoundError(f"There is no teacher at {path}.")
    return path.open("rb")


def _read_id(file: BinaryIO, path: Path) -> str:
    """The next utterance's id, its space consumed; nothing at the end."""
    start = file.tell()
    head = file.read(_LONGEST_ID)
    if not head.strip():
        return ""
    word, space, _ = head.partition(b" ")
    try:
        utterance_id = word.decode().strip()
    except UnicodeDecodeError:
        utterance_id = ""
    if not space or not utterance_id or len(utterance_id.split()) != 1:
        raise CorruptDataError(f"{path} has no utterance id at byte {start}: it is no Kaldi archive.")
    file.seek(start + len(word) + 1)
    return utterance_id


def _skip_matrix(file: BinaryIO) -> None:
    if file.read(2) != b"\0B":
        # Text: numbers between brackets, a row a line.
        file.seek(-2, 1)
        if not file.readline().lstrip().startswith(b"["):
            raise ValueError
        while b"]" not in (line := file.readline()):
            if not line:
                raise ValueError
        return
    kind, _, _ = (head := file.read(4)).partition(b" ")
    file.seek(len(kind) + 1 - len(head), 1)
    if kind.startswith(b"C"):
        _, _, rows, columns = struct.unpack("<ffii", file.read(16))
    else:
        _, rows, _, columns = struct.unpack("<bibi", file.read(10))
    if rows < 0 or columns < 0:
        raise ValueError
    per_column = 8 * columns if kind == b"CM" else 0
    file.seek(per_column + rows * columns * _BYTES.get(kind, 0), 1)
    if kind not in _BYTES:
        raise ValueError
