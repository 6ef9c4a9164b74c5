"""Phone times → segments → frame states."""

from __future__ import annotations

import numpy as np

from trainer.corpora.synthetic.espeak import Speech
from trainer.corpora.synthetic.timing import Segments, align, segments


def test_a_phone_has_its_frames_divided_by_thirds() -> None:
    # Frame t is centred on sample 160 t + 200: phones of 2, 1, 0, 3, 4 and 5 frames.
    starts = np.array([0, 400, 560, 600, 1100, 1700], np.int64)
    aligned = align(Segments(("SIL", "T", "DX", "AX", "S", "SIL"), starts), frames=15)
    assert aligned.phones == ("SIL", "T", "AX", "S", "SIL")
    assert aligned.frame_states.dtype == np.int32
    by_phone = [[0, 2], [3 + 1], [6, 7, 8], [9, 10, 10, 11], [12, 12, 13, 14, 14]]
    assert aligned.frame_states.tolist() == [state for states in by_phone for state in states]


def test_a_frame_belongs_to_the_phone_at_its_middle() -> None:
    for boundary, first_of_second_phone in ((200, 0), (201, 1), (360, 1), (361, 2)):
        aligned = align(Segments(("SIL", "AX"), np.array([0, boundary], np.int64)), frames=5)
        owners = [aligned.phones[state // 3] for state in aligned.frame_states]
        assert owners == ["SIL"] * first_of_second_phone + ["AX"] * (5 - first_of_second_phone)


def speech(phonemes: str, starts: tuple[int, ...], silent: tuple[tuple[int, int], ...]) -> Speech:
    samples = np.ones(starts[-1] + 1000, np.int16)
    for begin, end in silent:
        samples[begin:end] = 0
    return Speech(samples, tuple(phonemes.split()), starts)


def test_a_closure_belongs_to_its_stop_but_a_pause_stays_silence() -> None:
    said = speech("a k a _: t", (100, 1000, 1500, 2500, 4000), silent=((0, 100), (700, 1000), (2500, 4000)))
    found = segments(said, "en")
    assert found.phones == ("SIL", "AE", "K", "AE", "SIL", "T", "SIL")
    assert found.starts.tolist() == [0, 100, 700, 1500, 2500, 4000, 5000]


def test_an_l_spoken_as_the_end_of_a_vowel_gets_a_third_of_it() -> None:
    said = speech("O: l t a", (0, 900, 1200, 1500), silent=((900, 1200),))
    found = segments(said, "en")
    assert found.phones == ("SIL", "AO", "L", "T", "AE", "SIL")
    assert found.starts.tolist() == [0, 0, 600, 900, 1500, 2500]


def test_silences_in_a_row_are_one() -> None:
    found = segments(speech("a _: _ _ a _:", (0, 500, 900, 900, 1500, 2000), silent=()), "en")
    assert found.phones == ("SIL", "AE", "SIL", "AE", "SIL")
    assert found.starts.tolist() == [0, 0, 500, 1500, 2000]
