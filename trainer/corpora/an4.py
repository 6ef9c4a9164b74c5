"""AN4, the CMU Census database (1991): real speech, from a local copy in the layout CMU Sphinx publishes.

etc/an4_train.fileids  etc/an4_train.transcription  etc/an4.dic  etc/an4.phone  etc/an4.filler
wav/an4_clstk/<speaker>/<utterance>.wav             (or .flac, .sph, .raw)
etc/an4_test.fileids   etc/an4_test.transcription   wav/an4test_clstk/…          (used when there)
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from softstore.errors import InvalidInputError
from trainer.corpora.listed import Listed
from trainer.corpora.published import lies_inside, lines, read_dictionary, require_layout
from trainer.corpora.recorded import RecordedSource

REQUIRED = ("etc/an4_train.fileids", "etc/an4_train.transcription", "etc/an4.dic", "wav")
LAYOUT = (
    "etc/an4_train.fileids, etc/an4_train.transcription, etc/an4.dic "
    "and wav/an4_clstk/<speaker>/<utterance>.wav (or .flac, .sph, .raw)"
)
LICENCE = "AN4 License Terms (Carnegie Mellon University, BSD style)"


class An4Source(RecordedSource):
    """The utterances of an AN4 directory.

    Raises:
        NotFoundError: there is no such directory.
        InvalidInputError: it is not laid out as published, or its lists contradict each other.
    """

    def __init__(self, directory: Path) -> None:
        require_layout(directory, "AN4", REQUIRED, LAYOUT)
        etc = directory / "etc"
        fillers = _read_fillers(etc / "an4.filler")
        super().__init__(
            directory,
            {"name": "an4", "licence": LICENCE},
            read_dictionary(etc / "an4.dic", _plain),
            _read_part(etc, "an4_train", fillers),
            _read_part(etc, "an4_test", fillers),
        )


def _read_fillers(path: Path) -> set[str]:
    listed = {line.split()[0].lower() for line in lines(path)} if path.is_file() else set()
    return listed | {"<s>", "</s>", "<sil>"}


def _plain(word: str) -> str:
    """``A(2)`` → ``a``: the second pronunciation of a word is the same word."""
    base, bracket, variant = word.partition("(")
    return (base if bracket and variant.rstrip(")").isdigit() else word).lower()


def _read_part(etc: Path, name: str, fillers: set[str]) -> list[Listed]:
    """The utterances of one file list, with their transcripts; empty where the part is absent."""
    if not (etc / f"{name}.fileids").is_file():
        return []
    if not (etc / f"{name}.transcription").is_file():
        raise InvalidInputError(f"{etc} has {name}.fileids but no {name}.transcription; both are expected.")
    texts: dict[str, str] = {}
    for line in lines(etc / f"{name}.transcription"):
        *words, label = line.split()
        if not (label.startswith("(") and label.endswith(")")):
            raise InvalidInputError(
                f"{etc / name}.transcription: the line {line!r} does not end in (utterance-id)."
            )
        texts[label[1:-1]] = " ".join(_plain(word) for word in words if word.lower() not in fillers)

    listed = []
    for line in lines(etc / f"{name}.fileids"):
        path = PurePosixPath(line)
        if not lies_inside(path) or len(path.parts) < 2:
            raise InvalidInputError(
                f"{etc / name}.fileids: {line!r} is not a path such as an4_clstk/fash/an251-fash-b."
            )
        if path.name not in texts:
            raise InvalidInputError(f"{etc / name}.transcription has no line for {path.name}.")
        speaker = path.parent.name
        # Names begin with f or m; those that differ by a final digit alone (mdcs, mdcs2) may be one person.
        person = speaker.rstrip("0123456789")
        listed.append(Listed(path.name, speaker, person, texts[path.name], f"wav/{line}"))
    return listed
