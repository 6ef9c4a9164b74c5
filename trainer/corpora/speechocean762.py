"""speechocean762 (Zhang et al., Interspeech 2021): English as speakers of Mandarin read it, from a local copy
in the layout it is published in.

train/text  train/utt2spk  train/wav.scp  train/spk2age  train/spk2gender  resource/lexicon.txt
WAVE/SPEAKER<speaker>/<utterance>.WAV           (or .wav, .flac, .sph, .raw)
test/…                                          (used when there)
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from softstore.errors import InvalidInputError
from trainer.corpora.listed import Listed
from trainer.corpora.published import Table, lies_inside, read_dictionary, require_layout
from trainer.corpora.recorded import RecordedSource
from trainer.corpora.source import Rejected

TABLES = ("text", "utt2spk", "wav.scp", "spk2age", "spk2gender")
REQUIRED = (*(f"train/{name}" for name in TABLES), "resource/lexicon.txt", "WAVE")
LAYOUT = (
    "train/ with text, utt2spk, wav.scp, spk2age and spk2gender, resource/lexicon.txt "
    "and WAVE/SPEAKER<speaker>/<utterance>.WAV (or .wav, .flac, .sph, .raw)"
)
LICENCE = "free of charge for commercial and non-commercial purposes (README of speechocean762)"
MIN_AGE = 16
"""Half of the speakers are children, says the README, without saying up to which age. Children's voices lie
elsewhere in the spectrum, and the systems of Tang, Wang & Zhang 2015 know adults alone."""


class Speechocean762Source(RecordedSource):
    """The utterances of a speechocean762 directory whose speakers are old enough.

    Stress is dropped from the dictionary (AH0, AH1 → AH): that leaves the 39 phones of CMUdict, while phones
    by stress would often have too few frames for states of their own.

    Args:
        min_age: utterances of younger speakers are rejected; years.

    Raises:
        NotFoundError: there is no such directory.
        InvalidInputError: it is not laid out as published, or its lists contradict each other.
    """

    def __init__(self, directory: Path, min_age: int = MIN_AGE) -> None:
        require_layout(directory, "speechocean762", REQUIRED, LAYOUT)
        train, too_young = _read_part(directory / "train", min_age)
        test: list[Listed] = []
        if (directory / "test").is_dir():
            require_layout(directory, "speechocean762", [f"test/{name}" for name in TABLES], LAYOUT)
            test, too_young_for_test = _read_part(directory / "test", min_age)
            too_young += too_young_for_test
        super().__init__(
            directory,
            {"name": "speechocean762", "licence": LICENCE, "min_age": min_age},
            read_dictionary(directory / "resource" / "lexicon.txt", str.lower, _without_stress),
            train,
            test,
            too_young,
        )


def _without_stress(phone: str) -> str:
    return phone.rstrip("012")


def _read_part(folder: Path, min_age: int) -> tuple[list[Listed], list[Rejected]]:
    texts, speakers, files, ages, genders = (Table.read(folder / name) for name in TABLES)
    listed, too_young = [], []
    for utterance_id in dict.fromkeys([*texts.values, *speakers.values, *files.values]):
        speaker, audio = speakers[utterance_id], _audio(files, utterance_id)
        text = " ".join(texts[utterance_id].lower().split())
        age = _age(ages, speaker)
        if age < min_age:
            too_young.append(Rejected(utterance_id, f"younger than {min_age}: speaker {speaker} is {age}"))
        else:
            listed.append(Listed(utterance_id, speaker, f"{genders[speaker]}{speaker}", text, audio))
    return listed, too_young


def _audio(files: Table, utterance_id: str) -> str:
    path = PurePosixPath(files[utterance_id])
    if not path.name or not lies_inside(path) or path.name.endswith("|"):
        raise InvalidInputError(
            f"{files.path}: {files[utterance_id]!r} is not a path such as WAVE/SPEAKER0001/000010011.WAV."
        )
    return str(path.with_suffix(""))


def _age(ages: Table, speaker: str) -> int:
    try:
        return int(ages[speaker])
    except ValueError:
        raise InvalidInputError(
            f"{ages.path}: the age of speaker {speaker} is {ages[speaker]!r}; years are expected."
        ) from None
