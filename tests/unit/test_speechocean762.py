"""speechocean762 as published: tables, ages, dictionary, splits, and clear words where something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from softstore.errors import InvalidInputError, NotFoundError
from tests.unit.tone_speech import LEXICON
from tests.unit.tone_speechocean762 import write_lexicon, write_part
from trainer.corpora.fbank import fbank
from trainer.corpora.source import LOG_LIKELIHOOD, AlignedUtterance, Rejected
from trainer.corpora.speechocean762 import Speechocean762Source

SPEAKERS, UTTERANCES = 21, 42


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Speaker 0010 is eight years old, twenty more are of age, ten of each sex; two utterances each."""
    write_lexicon(tmp_path)
    write_part(tmp_path, "train", SPEAKERS, first=10, utterances=UTTERANCES)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_utterance_is_aligned_or_listed_with_the_reason(tmp_path: Path) -> None:
    write_lexicon(tmp_path)
    spoken = write_part(tmp_path, "train", SPEAKERS, first=10, utterances=UTTERANCES)
    source = Speechocean762Source(tmp_path)
    found = {utterance.utterance_id: utterance for utterance in source.utterances(workers=2)}
    assert len(found) == source.total == UTTERANCES
    for index, truth in enumerate(spoken):
        speaker = f"{10 + index % SPEAKERS:04}"
        utterance = found[f"{speaker}{index:05}"]
        if speaker == "0010":
            assert isinstance(utterance, Rejected)
            assert utterance.reason == "younger than 16: speaker 0010 is 8"
            continue
        assert isinstance(utterance, AlignedUtterance), utterance
        assert (utterance.speaker, utterance.text) == (speaker, " ".join(truth.words))
        rounded = np.clip(truth.samples, -32768, 32767).astype(np.int16).astype(np.float32)
        assert np.array_equal(utterance.features, fbank(rounded))
        assert len(utterance.alignment.frame_states) == len(utterance.features)
        assert np.isfinite(float(utterance.extra[LOG_LIKELIHOOD]))


def test_the_dictionary_is_without_stress_and_in_lower_case(copy: Path) -> None:
    assert Speechocean762Source(copy).lexicon == LEXICON


def test_speakers_never_cross_splits_and_every_split_has_both_sexes(copy: Path) -> None:
    source = Speechocean762Source(copy)
    assert source.description["speakers"] == {"train": 16, "cv": 2, "test": 2}
    assert source.description["utterances"] == {"train": 32, "cv": 4, "test": 4}
    assert source.description["test"] == "speakers cut from the train part"
    speakers: dict[str, set[str]] = {}
    for listed in source.listed:
        speakers.setdefault(listed.split, set()).add(listed.speaker)
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values()))
    assert all({int(speaker) % 2 for speaker in members} == {0, 1} for members in speakers.values())


def test_another_least_age_is_another_corpus(copy: Path) -> None:
    everyone, nobody = Speechocean762Source(copy, min_age=8), Speechocean762Source(copy, min_age=21)
    assert (len(everyone.listed), everyone.total) == (UTTERANCES, UTTERANCES)
    assert (len(nobody.listed), nobody.total) == (0, UTTERANCES)
    assert everyone.description["min_age"] == 8


def test_the_published_test_part_is_the_test_split_where_present(copy: Path) -> None:
    write_part(copy, "test", speakers=3, first=50, utterances=6)
    source = Speechocean762Source(copy)
    assert source.description["speakers"] == {"train": 18, "cv": 2, "test": 2}
    assert source.description["test"] == "as published"
    assert {listed.speaker for listed in source.listed if listed.split == "test"} == {"0051", "0052"}
    assert source.total == UTTERANCES + 6


def test_a_training_speaker_who_is_in_the_test_part_is_rejected(copy: Path) -> None:
    """Two utterances, beside two too young ones of either part."""
    write_part(copy, "test", speakers=3, first=50, utterances=6)
    edit(copy / "test" / "utt2spk", "\t0052", "\t0012")
    edit(copy / "test" / "spk2age", "0050\t8", "0050\t8\n0012\t20")
    edit(copy / "test" / "spk2gender", "0050\tf", "0050\tf\n0012\tf")
    source = Speechocean762Source(copy)
    assert {listed.split for listed in source.listed if listed.speaker == "0012"} == {"test"}
    assert source.total - len(source.listed) == 2 + 2 + 2


def test_a_wrong_directory_says_what_is_expected(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no directory"):
        Speechocean762Source(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match=r"train/text.* missing; expected are train/ with text"):
        Speechocean762Source(copy / "WAVE")
    (copy / "test").mkdir()
    with pytest.raises(InvalidInputError, match=r"test/text.* missing"):
        Speechocean762Source(copy)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("train/text", "001100001\t", "001199999\t", "utt2spk has no line for 001199999"),
        ("train/wav.scp", "001100001\t", "001199999\t", r"wav\.scp has no line for 001100001"),
        ("train/utt2spk", "001100001\t0011", "001100001\t0099", "spk2age has no line for 0099"),
        ("train/text", "001100001\t", "001200002\t", "names 001200002 more than once"),
        ("train/spk2age", "0011\t20", "0011\ttwenty", "the age of speaker 0011 is 'twenty'"),
        ("train/spk2gender", "0011\tm\n", "", "spk2gender has no line for 0011"),
        ("train/wav.scp", "\tWAVE/", "\t../WAVE/", "not a path such as"),
        ("train/wav.scp", "\tWAVE/", "\t/WAVE/", "not a path such as"),
        ("train/wav.scp", ".WAV\n", ".WAV |\n", "not a path such as"),
        ("resource/lexicon.txt", "\tB A0", "", "has no phones"),
    ],
)
def test_contradictory_lists_are_errors(copy: Path, name: str, old: str, new: str, message: str) -> None:
    edit(copy / name, old, new)
    with pytest.raises(InvalidInputError, match=message):
        Speechocean762Source(copy)
