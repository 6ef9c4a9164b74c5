"""A toy language whose phones are chords, so that every phone boundary is known to the sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.alignment import SILENCE
from trainer.corpora.fbank import SAMPLE_RATE

LEXICON: dict[str, list[tuple[str, ...]]] = {
    "ba": [("B", "A")],
    "bo": [("B", "O")],
    "sa": [("S", "A")],
    "so": [("S", "O")],
    "bas": [("B", "A", "S")],
    "bi": [("B", "I")],
    "be": [("B", "E")],
    "either": [("I", "S", "A"), ("E", "S", "A")],
}
CHORDS = {
    "A": (700, 1200),
    "O": (450, 850),
    "I": (300, 2300),
    "E": (550, 1900),
    "B": (200, 3000),
    "S": (4500, 6000),
}


@dataclass(frozen=True)
class Spoken:
    """Samples at 16 kHz (full scale ±32768) and the truth about them: (phone, first sample, last + 1)."""

    words: list[str]
    samples: NDArray[np.float32]
    segments: list[tuple[str, int, int]]


def speak(words: list[str], seed: int, pitch: float = 1.0) -> Spoken:
    """Chords of 60 to 140 ms with noise, silence at both ends and sometimes between words."""
    random = np.random.default_rng(seed)
    phones = [SILENCE]
    for word in words:
        variants = LEXICON[word]
        phones += variants[random.integers(len(variants))]
        if random.random() < 0.4:
            phones.append(SILENCE)
    if phones[-1] != SILENCE:
        phones.append(SILENCE)
    pieces, segments, at = [], [], 0
    for phone in phones:
        length = int(random.uniform(0.06, 0.14) * SAMPLE_RATE)
        time = np.arange(length) / SAMPLE_RATE
        tones = [np.sin(2 * np.pi * pitch * hertz * time) for hertz in CHORDS.get(phone, ())]
        pieces.append(3000.0 * np.sum(tones, axis=0) if tones else np.zeros(length))
        segments.append((phone, at, at + length))
        at += length
    samples = np.concatenate(pieces) + random.normal(0, 60, at)
    return Spoken(words, samples.astype(np.float32), segments)


def corpus(utterances: int, speakers: int, seed: int = 0) -> list[tuple[str, Spoken]]:
    """(speaker, utterance) pairs; speakers differ in pitch."""
    random = np.random.default_rng(seed)
    result = []
    for index in range(utterances):
        speaker = index % speakers
        words = list(random.choice(sorted(LEXICON), size=random.integers(2, 6)))
        result.append((f"f{chr(97 + speaker)}", speak(words, 1000 * seed + index, 1.0 + 0.02 * speaker)))
    return result
