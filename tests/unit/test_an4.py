"""AN4 as published: lists, dictionary, audio formats, splits, and clear words where something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from softstore.errors import InvalidInputError, NotFoundError
from tests.unit.tone_speech import LEXICON, corpus
from trainer.corpora.an4 import An4Source
from trainer.corpora.fbank import fbank
from trainer.corpora.source import AlignedUtterance, Rejected

SPEAKERS = 10


def write_part(directory: Path, part: str, folder: str, speakers: int, first: int, seed: int) -> None:
    """Forty utterances; every audio format in turn."""
    fileids, lines = [], []
    for index, (speaker, spoken) in enumerate(corpus(40, speakers, seed)):
        speaker = f"{speaker}{chr(97 + first)}"
        name = f"an{index}-{speaker}-b"
        path = directory / "wav" / folder / speaker / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.clip(spoken.samples, -32768, 32767).astype(np.int16)
        match index % 5:
            case 0:
                soundfile.write(path.with_suffix(".wav"), samples, 16_000)
            case 1:
                soundfile.write(path.with_suffix(".flac"), samples, 16_000)
            case 2:
                soundfile.write(path.with_suffix(".sph"), samples, 16_000, format="NIST")
            case 3:
                path.with_suffix(".raw").write_bytes(samples.astype(">i2").tobytes())
            case _:
                path.with_suffix(".raw").write_bytes(samples.astype("<i2").tobytes())
        fileids.append(f"{folder}/{speaker}/{name}\n")
        lines.append(f"<s> {' '.join(spoken.words).upper()} </s> ({name})\n")
    (directory / "etc" / f"{part}.fileids").write_text("".join(fileids))
    (directory / "etc" / f"{part}.transcription").write_text("".join(lines))


@pytest.fixture
def an4(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    etc.mkdir()
    entries = [
        f"{word.upper()}{f'({number})' if number > 1 else ''}\t\t{' '.join(phones)}\n"
        for word, variants in LEXICON.items()
        for number, phones in enumerate(variants, 1)
    ]
    (etc / "an4.dic").write_text("".join(entries))
    (etc / "an4.filler").write_text("<s> SIL\n</s> SIL\n<sil> SIL\n++NOISE++ SIL\n")
    write_part(tmp_path, "an4_train", "an4_clstk", SPEAKERS, first=0, seed=1)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_utterance_comes_aligned_in_the_order_of_the_list(an4: Path) -> None:
    source = An4Source(an4)
    found = list(source.utterances(workers=1))
    assert len(found) == source.total == 40
    fileids = (an4 / "etc" / "an4_train.fileids").read_text().split()
    for utterance, fileid, (_, spoken) in zip(found, fileids, corpus(40, SPEAKERS, 1), strict=True):
        assert isinstance(utterance, AlignedUtterance), utterance
        assert fileid.endswith(f"/{utterance.speaker}/{utterance.utterance_id}")
        assert utterance.text == " ".join(spoken.words)
        assert len(utterance.alignment.frame_states) == len(utterance.features)
        rounded = np.clip(spoken.samples, -32768, 32767).astype(np.int16).astype(np.float32)
        assert np.array_equal(utterance.features, fbank(rounded))


def test_the_dictionary_groups_variants_under_lower_case_words(an4: Path) -> None:
    assert An4Source(an4).lexicon == LEXICON


def test_speakers_never_cross_splits(an4: Path) -> None:
    source = An4Source(an4)
    assert source.description["speakers"] == {"train": SPEAKERS - 2, "cv": 1, "test": 1}
    assert source.description["utterances"] == {"train": 32, "cv": 4, "test": 4}
    assert source.description["test"] == "speakers cut from the train part"
    splits: dict[str, set[str]] = {}
    for utterance in source.utterances(workers=2):
        assert isinstance(utterance, AlignedUtterance)
        splits.setdefault(utterance.speaker, set()).add(utterance.split)
    assert all(len(found) == 1 for found in splits.values())


def test_the_published_test_part_is_the_test_split_where_present(an4: Path) -> None:
    write_part(an4, "an4_test", "an4test_clstk", speakers=2, first=1, seed=2)
    source = An4Source(an4)
    assert source.description["speakers"] == {"train": SPEAKERS - 1, "cv": 1, "test": 2}
    assert source.description["test"] == "as published"
    assert source.total == 80


def test_one_person_under_two_names_stays_in_one_split(an4: Path) -> None:
    """Eight persons are left of ten speakers; the fifth of them, fga, is cv."""
    for path in (an4 / "etc" / "an4_train.fileids", an4 / "etc" / "an4_train.transcription"):
        path.write_text(path.read_text().replace("fba", "faa2").replace("fda", "fga2"))
    splits = {listed.speaker: listed.split for listed in An4Source(an4).listed}
    assert splits["faa2"] == splits["faa"]
    assert splits["fga2"] == splits["fga"] == "cv"


def test_a_training_speaker_who_is_in_the_test_part_is_rejected(an4: Path) -> None:
    write_part(an4, "an4_test", "an4test_clstk", speakers=1, first=1, seed=2)
    for name in ("an4_test.fileids", "an4_test.transcription"):
        path = an4 / "etc" / name
        path.write_text(path.read_text().replace("-fab-b", "-other-b").replace("/fab/", "/faa/"))
    rejected = [u for u in An4Source(an4).utterances(1) if isinstance(u, Rejected)]
    assert sum("in the test part too" in entry.reason for entry in rejected) == 4


def test_fillers_and_variant_marks_are_not_words(an4: Path) -> None:
    path = an4 / "etc" / "an4_train.transcription"
    lines = path.read_text().splitlines()
    label = lines[0].split()[-1]
    lines[0] = f"<s> EITHER(2) ++NOISE++ BA </s> {label}"
    lines[1] = f"BO SA {lines[1].split()[-1]}"
    path.write_text("\n".join(lines))
    texts = {entry.utterance_id: entry.text for entry in An4Source(an4).listed}
    assert list(texts.values())[:2] == ["either ba", "bo sa"]


def test_bad_audio_is_rejected_with_the_reason_and_the_rest_is_aligned(an4: Path) -> None:
    audio = sorted((an4 / "wav").rglob("*.wav"))
    audio[0].unlink()
    audio[1].write_bytes(b"this is no audio")
    soundfile.write(audio[2], np.zeros(8000, np.int16), 8_000)
    edit(an4 / "etc" / "an4_train.transcription", "<s> B", "<s> XYLOPHONE B")
    found = list(An4Source(an4).utterances(workers=1))
    reasons = {entry.utterance_id: entry.reason for entry in found if isinstance(entry, Rejected)}
    assert len(found) == 40
    assert "no audio" in reasons[audio[0].stem]
    assert audio[1].name in reasons[audio[1].stem]
    assert "8000 Hz" in reasons[audio[2].stem]
    assert len(reasons) in (3, 4)


def test_a_wrong_directory_says_what_is_expected(an4: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no directory"):
        An4Source(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match=r"expected are etc/an4_train\.fileids"):
        An4Source(an4 / "wav")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("an4_train.fileids", "an4_clstk/", "../", "not a path such as"),
        ("an4_train.fileids", "an1-fba-b", "an0-faa-b", "more than once"),
        ("an4_train.transcription", "(an0-faa-b)", "(gone)", "no line for an0-faa-b"),
        ("an4_train.transcription", "(an0-faa-b)", "", "does not end in"),
        ("an4.dic", "B A\n", "\n", "has no phones"),
    ],
)
def test_contradictory_lists_are_errors(an4: Path, name: str, old: str, new: str, message: str) -> None:
    edit(an4 / "etc" / name, old, new)
    with pytest.raises(InvalidInputError, match=message):
        An4Source(an4)
