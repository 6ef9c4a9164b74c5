"""Reading what a corpus is published as: its layout, its lists and its dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from softstore.errors import InvalidInputError, NotFoundError


def require_layout(directory: Path, name: str, required: Sequence[str], layout: str) -> None:
    """Check that a directory is the corpus of that name.

    Args:
        required: files and folders that must be in it.
        layout: what is expected, for the error.

    Raises:
        NotFoundError: there is no such directory.
        InvalidInputError: something is missing in it.
    """
    if not directory.is_dir():
        raise NotFoundError(f"There is no directory {directory}; give the one that holds {name}.")
    missing = [path for path in required if not (directory / path).exists()]
    if missing:
        raise InvalidInputError(
            f"{directory} is not {name} as published: {', '.join(missing)} missing; expected are {layout}."
        )


def lines(path: Path) -> list[str]:
    """Those that are not empty, without the space around them.

    Raises:
        InvalidInputError: it is not text in UTF-8.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not a text file in UTF-8.") from error


@dataclass(frozen=True, slots=True)
class Table:
    """A file with a line for every key: the key, then its value, which may be empty (Kaldi's tables)."""

    path: Path
    values: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Table:
        """Raises `InvalidInputError` where a key comes twice."""
        values: dict[str, str] = {}
        for line in lines(path):
            key, *value = line.split(maxsplit=1)
            if key in values:
                raise InvalidInputError(f"{path} names {key} more than once; each must be unique.")
            values[key] = value[0] if value else ""
        return cls(path, values)

    def __getitem__(self, key: str) -> str:
        """Raises `InvalidInputError` where there is no such line."""
        try:
            return self.values[key]
        except KeyError:
            raise InvalidInputError(f"{self.path} has no line for {key}.") from None


def read_dictionary(
    path: Path, word: Callable[[str], str], phone: Callable[[str], str] = str
) -> dict[str, list[tuple[str, ...]]]:
    """Word → its pronunciations, from lines of a word and its phones; the same one twice counts once.

    Args:
        word, phone: from the file's spelling to ours.

    Raises:
        InvalidInputError: a word has no phones.
    """
    dictionary: dict[str, list[tuple[str, ...]]] = {}
    for line in lines(path):
        spelling, *phones = line.split()
        if not phones:
            raise InvalidInputError(
                f"{path}: the word {spelling} has no phones; each line is a word and its phones."
            )
        pronunciations = dictionary.setdefault(word(spelling), [])
        pronunciation = tuple(map(phone, phones))
        if pronunciation not in pronunciations:
            pronunciations.append(pronunciation)
    return dictionary


def lies_inside(path: PurePosixPath) -> bool:
    """Whether a relative path stays below where it starts."""
    return not path.is_absolute() and ".." not in path.parts
