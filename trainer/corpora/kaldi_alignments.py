"""Alignments as ``ali-to-pdf`` writes them: archives of int32 vectors, binary or text, or scripts of such.

Read here and not by kaldi_native_io, which takes what is left of a damaged archive for the whole of it.

    utterance-id 1 2 3\\n                                 text
    utterance-id \\0B \\4 <count> \\4 <pdf> \\4 <pdf> …      binary: little-endian int32, \\4 is their size

See https://kaldi-asr.org/doc/io.html.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError
from softstore.teachers.kaldi_index import Place, index_script

_ID = re.compile(rb"\s*(\S+)[ \t]?")
_LONGEST_ID = 4096
_HEAD = struct.Struct("<2sbi")
_ELEMENT = np.dtype([("size", "i1"), ("pdf", "<i4")])


def read_alignments(paths: Sequence[Path]) -> dict[str, NDArray[np.int32]]:
    """Pdf-ids of each frame by utterance id, each (frames,), int32.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: an utterance is aligned twice, or a file cannot be used.
        CorruptDataError: an archive is truncated, or holds something else.
    """
    found: dict[str, NDArray[np.int32]] = {}
    for path in paths:
        for utterance_id, pdfs in _read(path):
            if utterance_id in found:
                raise InvalidInputError(
                    f"Utterance {utterance_id!r} is aligned twice, the second time in {path}."
                )
            found[utterance_id] = pdfs
    return found


def check_there(place: Place, script: Path, utterance_id: str) -> None:
    """
    Raises:
        NotFoundError: the file that a script names is not there.
    """
    if not Path(place.path).is_file():
        raise NotFoundError(
            f"There is no file {place.path}, where {script} has utterance {utterance_id!r}; relative paths "
            "in it are relative to the directory this runs in."
        )


def _read(path: Path) -> Iterator[tuple[str, NDArray[np.int32]]]:
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}: give what ali-to-pdf wrote, an archive or a script.")
    if path.suffix == ".gz":
        raise InvalidInputError(
            f"{path} is compressed, as alignments of transitions are; pdf-ids are wanted: "
            "ali-to-pdf final.mdl 'ark:gunzip -c ali.*.gz|' ark:pdf.ark makes them."
        )
    if path.suffix != ".scp":
        yield from _read_archive(path)
        return
    for utterance_id, place in index_script(path).items():
        check_there(place, path, utterance_id)
        with Path(place.path).open("rb") as file:
            file.seek(place.offset)
            yield utterance_id, _vector(file, Path(place.path), place.offset)


def _read_archive(path: Path) -> Iterator[tuple[str, NDArray[np.int32]]]:
    with path.open("rb") as file:
        while (head := file.read(_LONGEST_ID)).strip():
            start = file.tell() - len(head)
            match = _ID.match(head)
            assert match is not None
            file.seek(start + match.end())
            pdfs = _vector(file, path, start)
            try:
                yield match[1].decode(), pdfs
            except UnicodeDecodeError as error:
                raise _damaged(path, start) from error


def _vector(file: BinaryIO, path: Path, start: int) -> NDArray[np.int32]:
    """The vector that begins where the file is; ``start`` is where its entry does."""
    try:
        return _read_vector(file)
    except (ValueError, OverflowError, struct.error) as error:
        raise _damaged(path, start) from error


def _read_vector(file: BinaryIO) -> NDArray[np.int32]:
    begin = file.tell()
    head = file.read(_HEAD.size)
    if head.startswith(b"\0B"):
        _, size, count = _HEAD.unpack(head)
        left = file.seek(0, 2) - begin - _HEAD.size
        if size != 4 or not 0 <= count * _ELEMENT.itemsize <= left:
            raise ValueError
        file.seek(begin + _HEAD.size)
        elements = np.frombuffer(file.read(count * _ELEMENT.itemsize), _ELEMENT)
        if (elements["size"] != 4).any():
            raise ValueError
        return elements["pdf"].astype(np.int32)
    file.seek(begin)
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ValueError
    return np.array([int(word) for word in line.split()], np.int32)


def _damaged(path: Path, start: int) -> CorruptDataError:
    return CorruptDataError(
        f"{path} is damaged at byte {start}, or holds no vectors of int32 such as ali-to-pdf writes."
    )
