"""The aligner finds known phone boundaries and tells what cannot be aligned."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.tone_speech import LEXICON, Spoken, corpus, speak
from trainer.aligner import AlignedCorpus, Transcribed, align
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.corpora.fbank import fbank
from trainer.corpora.source import Rejected

SHIFT = 160
MIDDLE_OF_FIRST_FRAME = 200


def transcribed(speech: list[tuple[str, Spoken]]) -> list[Transcribed]:
    return [
        Transcribed(f"u{index}", speaker, " ".join(spoken.words), fbank(spoken.samples))
        for index, (speaker, spoken) in enumerate(speech)
    ]


@pytest.fixture(scope="module")
def speech() -> list[tuple[str, Spoken]]:
    return corpus(utterances=80, speakers=4)


@pytest.fixture(scope="module")
def result(speech: list[tuple[str, Spoken]]) -> AlignedCorpus:
    return align(transcribed(speech), LEXICON)


def test_phones_silences_and_variants_are_found(
    speech: list[tuple[str, Spoken]], result: AlignedCorpus
) -> None:
    right = 0
    for (_, spoken), outcome in zip(speech, result.outcomes, strict=True):
        assert isinstance(outcome, Alignment)
        right += outcome.phones == tuple(phone for phone, _, _ in spoken.segments)
    assert right >= 0.95 * len(speech)


def test_boundaries_lie_within_two_frames(speech: list[tuple[str, Spoken]], result: AlignedCorpus) -> None:
    errors = []
    for (_, spoken), outcome in zip(speech, result.outcomes, strict=True):
        assert isinstance(outcome, Alignment)
        if outcome.phones == tuple(phone for phone, _, _ in spoken.segments):
            positions = outcome.frame_states // STATES
            starts = np.flatnonzero(np.diff(positions)) + 1
            truth = np.array([begin for _, begin, _ in spoken.segments[1:]])
            errors += list(np.abs(starts - (truth - MIDDLE_OF_FIRST_FRAME) / SHIFT))
    assert np.mean(np.array(errors) <= 2.0) > 0.97


def test_alignments_keep_the_contract(speech: list[tuple[str, Spoken]], result: AlignedCorpus) -> None:
    for utterance, outcome in zip(transcribed(speech), result.outcomes, strict=True):
        assert isinstance(outcome, Alignment)
        assert outcome.frame_states.dtype == np.int32
        assert len(outcome.frame_states) == len(utterance.features)
        assert outcome.frame_states[0] == 0
        assert outcome.frame_states[-1] == len(outcome.phones) * STATES - 1
        assert set(np.diff(outcome.frame_states).tolist()) <= {0, 1}


def test_quality_is_reported(speech: list[tuple[str, Spoken]], result: AlignedCorpus) -> None:
    segments = [segment for _, spoken in speech for segment in spoken.segments]
    silent = sum(end - begin for phone, begin, end in segments if phone == SILENCE)
    assert result.silence_share == pytest.approx(
        silent / sum(end - begin for _, begin, end in segments), abs=0.08
    )
    assert np.isfinite(result.log_likelihood)
    assert result.tied_states >= 3 * 7


def test_the_number_of_threads_changes_nothing(
    speech: list[tuple[str, Spoken]], result: AlignedCorpus
) -> None:
    for one, two in zip(
        result.outcomes, align(transcribed(speech), LEXICON, workers=2).outcomes, strict=True
    ):
        assert isinstance(one, Alignment)
        assert isinstance(two, Alignment)
        assert one.phones == two.phones
        assert np.array_equal(one.frame_states, two.frame_states)


def test_what_cannot_be_aligned_is_rejected_with_the_reason(speech: list[tuple[str, Spoken]]) -> None:
    wrong = Spoken(["so", "so", "so", "so"], speak(["either", "ba", "ba", "bas", "ba"], 1).samples, [])
    hopeless = transcribed(
        [
            ("fa", Spoken(["ba", "xylophone"], speak(["ba", "so"], 2).samples, [])),
            ("fa", Spoken(["ba"] * 30, speak(["ba"], 3).samples, [])),
            ("fa", Spoken([], speak(["ba"], 4).samples, [])),
            ("fa", wrong),
        ]
    )
    outcomes = align([*hopeless, *transcribed(speech)], LEXICON).outcomes
    reasons = [outcome.reason if isinstance(outcome, Rejected) else "" for outcome in outcomes]
    assert "xylophone" in reasons[0]
    assert "too short" in reasons[1]
    assert "no words" in reasons[2]
    assert "does not fit" in reasons[3]
    assert not any(reasons[4:])


def test_nothing_to_align_is_not_an_error() -> None:
    assert align([], LEXICON).outcomes == []
