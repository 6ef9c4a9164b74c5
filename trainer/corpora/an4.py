"""AN4, the CMU Census database (1991): real speech, from a local copy in the layout CMU Sphinx publishes.

etc/an4_train.fileids  etc/an4_train.transcription  etc/an4.dic  etc/an4.phone  etc/an4.filler
wav/an4_clstk/<speaker>/<utterance>.wav             (or .flac, .sph, .raw)
etc/an4_test.fileids   etc/an4_test.transcription   wav/an4test_clstk/…          (used when there)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
from numpy.typing import NDArray

from softstore.errors import InvalidInputError, NotFoundError
from trainer.aligner import AlignedCorpus, Transcribed, align
from trainer.corpora.fbank import SAMPLE_RATE, fbank
from trainer.corpora.source import AlignedUtterance, Rejected

REQUIRED = ("etc/an4_train.fileids", "etc/an4_train.transcription", "etc/an4.dic", "wav")
LAYOUT = (
    "expected are etc/an4_train.fileids, etc/an4_train.transcription, etc/an4.dic "
    "and wav/an4_clstk/<speaker>/<utterance>.wav (or .flac, .sph, .raw)"
)
LICENCE = "AN4 License Terms (Carnegie Mellon University, BSD style)"
EXTENSIONS = (".wav", ".flac", ".sph", ".raw")
EVERY_TENTH, CV_PLACE, TEST_PLACE = 10, 4, 9
"""Of every ten speakers in alphabetical order, the fifth is held out as cv and, where the published test part
is absent, the tenth as test; names begin with f or m, so both sexes are in every split."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """One line of the file lists; `path` is relative to wav/, without extension."""

    utterance_id: str
    speaker: str
    split: str
    text: str
    path: str


class An4Source:
    """The utterances of an AN4 directory with features and an alignment of our own.

    The aligner is trained on all parts together, as it has to align them; what it cannot align is yielded as
    `Rejected`, and `aligned` tells how well it went once `utterances` has been read.

    Raises:
        NotFoundError: there is no such directory.
        InvalidInputError: it is not laid out as published, or its lists contradict each other.
    """

    def __init__(self, directory: Path) -> None:
        _check_layout(directory)
        self._wav = directory / "wav"
        self._lexicon = _read_dictionary(directory / "etc" / "an4.dic")
        fillers = _read_fillers(directory / "etc" / "an4.filler")
        train = _read_part(directory / "etc", "an4_train", fillers)
        test = _read_part(directory / "etc", "an4_test", fillers)
        self._listed, self._rejected = _split(train, test)
        self.aligned: AlignedCorpus | None = None

    @property
    def description(self) -> Mapping[str, object]:
        splits = {name: [u for u in self._listed if u.split == name] for name in ("train", "cv", "test")}
        return {
            "name": "an4",
            "licence": LICENCE,
            "utterances": {name: len(members) for name, members in splits.items()},
            "speakers": {name: len({u.speaker for u in members}) for name, members in splits.items()},
            "words": len(self._lexicon),
        }

    @property
    def lexicon(self) -> Mapping[str, list[tuple[str, ...]]]:
        return self._lexicon

    @property
    def total(self) -> int:
        return len(self._listed) + len(self._rejected)

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        """Reads all audio, then trains the aligner and aligns, then yields in the order of the lists."""
        with ThreadPoolExecutor(max_workers=workers) as pool:
            features = dict(zip(self._listed, pool.map(self._features, self._listed), strict=True))
        usable = [
            Transcribed(u.utterance_id, u.speaker, u.text, found)
            for u, found in features.items()
            if not isinstance(found, Rejected)
        ]
        self.aligned = align(usable, self._lexicon, workers)
        outcomes = {u.utterance_id: outcome for u, outcome in zip(usable, self.aligned.outcomes, strict=True)}
        for listed, found in features.items():
            if isinstance(found, Rejected):
                yield found
                continue
            outcome = outcomes[listed.utterance_id]
            if isinstance(outcome, Rejected):
                yield outcome
            else:
                yield AlignedUtterance(
                    listed.utterance_id, listed.speaker, listed.split, listed.text, found, outcome
                )
        yield from self._rejected

    def _features(self, listed: _Listed) -> NDArray[np.float32] | Rejected:
        path = next((p for e in EXTENSIONS if (p := self._wav / f"{listed.path}{e}").is_file()), None)
        if path is None:
            return Rejected(listed.utterance_id, f"no audio at wav/{listed.path} (.wav, .flac, .sph or .raw)")
        try:
            return fbank(_read_raw(path) if path.suffix == ".raw" else _read_audio(path))
        except (OSError, ValueError, soundfile.LibsndfileError) as error:
            return Rejected(listed.utterance_id, f"wav/{listed.path}{path.suffix}: {error}")


def _read_audio(path: Path) -> NDArray[np.float32]:
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    if rate != SAMPLE_RATE or samples.shape[1] != 1:
        raise ValueError(f"{rate} Hz, {samples.shape[1]} channels; {SAMPLE_RATE} Hz mono is expected")
    return np.asarray(samples[:, 0], dtype=np.float32)


def _read_raw(path: Path) -> NDArray[np.float32]:
    """Headerless 16-bit samples. AN4 was published in both byte orders under this name; speech in the wrong
    one is noise, so the order whose samples jump least is the right one."""
    data = path.read_bytes()
    if len(data) % 2:
        raise ValueError("an odd number of bytes; 16-bit samples are expected")
    orders = [np.frombuffer(data, dtype).astype(np.float32) for dtype in (">i2", "<i2")]
    return min(orders, key=lambda samples: float(np.abs(np.diff(samples)).sum()))


def _check_layout(directory: Path) -> None:
    if not directory.is_dir():
        raise NotFoundError(
            f"There is no directory {directory}; give the one that holds AN4's etc/ and wav/."
        )
    missing = [name for name in REQUIRED if not (directory / name).exists()]
    if missing:
        raise InvalidInputError(
            f"{directory} is not AN4 as published: {', '.join(missing)} missing; {LAYOUT}."
        )


def _read_dictionary(path: Path) -> dict[str, list[tuple[str, ...]]]:
    lexicon: dict[str, list[tuple[str, ...]]] = {}
    for line in _lines(path):
        word, *phones = line.split()
        if not phones:
            raise InvalidInputError(
                f"{path}: the word {word} has no phones; each line is a word and its phones."
            )
        pronunciations = lexicon.setdefault(_plain(word), [])
        if tuple(phones) not in pronunciations:
            pronunciations.append(tuple(phones))
    return lexicon


def _read_fillers(path: Path) -> set[str]:
    listed = {line.split()[0].lower() for line in _lines(path)} if path.is_file() else set()
    return listed | {"<s>", "</s>", "<sil>"}


def _plain(word: str) -> str:
    """``A(2)`` → ``a``: the second pronunciation of a word is the same word."""
    base, bracket, variant = word.partition("(")
    return (base if bracket and variant.rstrip(")").isdigit() else word).lower()


def _read_part(etc: Path, name: str, fillers: set[str]) -> list[_Listed]:
    """The utterances of one file list, with their transcripts; empty where the part is absent."""
    if not (etc / f"{name}.fileids").is_file():
        return []
    if not (etc / f"{name}.transcription").is_file():
        raise InvalidInputError(f"{etc} has {name}.fileids but no {name}.transcription; both are expected.")
    texts: dict[str, str] = {}
    for line in _lines(etc / f"{name}.transcription"):
        *words, label = line.split()
        if not (label.startswith("(") and label.endswith(")")):
            raise InvalidInputError(
                f"{etc / name}.transcription: the line {line!r} does not end in (utterance-id)."
            )
        texts[label[1:-1]] = " ".join(_plain(word) for word in words if word.lower() not in fillers)

    listed = []
    for line in _lines(etc / f"{name}.fileids"):
        path = PurePosixPath(line)
        if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise InvalidInputError(
                f"{etc / name}.fileids: {line!r} is not a path such as an4_clstk/fash/an251-fash-b."
            )
        if path.name not in texts:
            raise InvalidInputError(f"{etc / name}.transcription has no line for {path.name}.")
        listed.append(_Listed(path.name, path.parent.name, "", texts[path.name], line))
    return listed


def _split(train: list[_Listed], test: list[_Listed]) -> tuple[list[_Listed], list[Rejected]]:
    """Cut cv and, where there is no test part, test from the training speakers.

    Names that differ by a final digit alone (mdcs, mdcs2) may be one person and stay together. A training
    utterance by a speaker of the test part is rejected.
    """
    counts = Counter(listed.utterance_id for listed in train + test)
    twice = sorted(utterance_id for utterance_id, count in counts.items() if count > 1)
    if twice:
        raise InvalidInputError(
            f"AN4's file lists name {', '.join(twice[:3])} more than once; each must be unique."
        )
    held_out = {listed.speaker for listed in test}
    people = sorted({_person(listed.speaker) for listed in train if listed.speaker not in held_out})
    split_of = {}
    for index, person in enumerate(people):
        place = index % EVERY_TENTH
        split_of[person] = (
            "cv" if place == CV_PLACE else "test" if place == TEST_PLACE and not test else "train"
        )
    result, rejected = [], []
    for listed in train:
        if listed.speaker in held_out:
            rejected.append(
                Rejected(listed.utterance_id, f"its speaker {listed.speaker} is in the test part too")
            )
        else:
            result.append(_with_split(listed, split_of[_person(listed.speaker)]))
    return result + [_with_split(listed, "test") for listed in test], rejected


def _with_split(listed: _Listed, split: str) -> _Listed:
    return _Listed(listed.utterance_id, listed.speaker, split, listed.text, listed.path)


def _person(speaker: str) -> str:
    return speaker.rstrip("0123456789")


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not a text file in UTF-8.") from error
