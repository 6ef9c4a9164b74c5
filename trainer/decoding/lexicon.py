"""The pronunciation lexicon as a transducer from phones to words, L."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.alignment import SILENCE

SILENCE_PROBABILITY = 0.5
"""Of a pause before, between and after words, as in Kaldi's recipes."""

Pronunciation = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words and their pronunciations, with a number for everything.

    Words that sound alike, or like the begin of another one, end in a disambiguation symbol, and so does the
    optional silence: without them the graph could not be made deterministic (Mohri, Pereira & Riley 2002).

    Attributes:
        pronunciations: word → pronunciations, none of them empty.
        words: word → id, from 1.
        phones: phone → id, from 1, silence among them.
        disambiguation: the symbols' ids, after those of phones; the first one is the grammar's.
    """

    pronunciations: Mapping[str, Sequence[Pronunciation]]
    words: Mapping[str, int]
    phones: Mapping[str, int]
    disambiguation: Sequence[int]

    @classmethod
    def of(cls, pronunciations: Mapping[str, Sequence[Pronunciation]]) -> Lexicon:
        """The lexicon of these words, in alphabetical order."""
        usable = {word: [found for found in pronunciations[word] if found] for word in sorted(pronunciations)}
        usable = {word: found for word, found in usable.items() if found}
        names = {phone for found in usable.values() for reading in found for phone in reading}
        phones = {phone: number for number, phone in enumerate(sorted({SILENCE, *names}), start=1)}
        most = max((number for _, _, number in _numbered(usable)), default=0)
        # The grammar's, those of pronunciations, and the silence's.
        symbols = range(len(phones) + 1, len(phones) + 1 + most + 2)
        words = {word: number for number, word in enumerate(usable, start=1)}
        return cls(usable, words, phones, symbols)

    def fst(self) -> str:
        """L in OpenFst's text form: phone ids in, word ids out, silence optional around every word."""
        begin, between, after, before_symbol = range(4)
        quiet, spoken = -math.log(SILENCE_PROBABILITY), -math.log(1 - SILENCE_PROBABILITY)
        silence, symbols = self.phones[SILENCE], self.disambiguation
        lines = [
            f"{begin} {between} 0 0 {spoken}",
            f"{begin} {before_symbol} {silence} 0 {quiet}",
            f"{after} {before_symbol} {silence} 0",
            f"{before_symbol} {between} {symbols[-1]} 0",
            f"{between} {between} {symbols[0]} {len(self.words) + 1}",
            f"{between}",
        ]
        state = 4
        for word, reading, number in _numbered(self.pronunciations):
            labels = [self.phones[phone] for phone in reading] + [symbols[number]] * (number > 0)
            here, output = between, self.words[word]
            for label in labels[:-1]:
                lines.append(f"{here} {state} {label} {output}")
                here, output, state = state, 0, state + 1
            lines.append(f"{here} {between} {labels[-1]} {output} {spoken}")
            lines.append(f"{here} {after} {labels[-1]} {output} {quiet}")
        return "\n".join(lines) + "\n"


def _numbered(
    pronunciations: Mapping[str, Sequence[Pronunciation]],
) -> list[tuple[str, Pronunciation, int]]:
    """Every word and pronunciation with the number of its disambiguation symbol, 0 where it needs none."""
    every = [(word, reading) for word, found in pronunciations.items() for reading in dict.fromkeys(found)]
    times = Counter(reading for _, reading in every)
    begins = {reading[:length] for reading in times for length in range(1, len(reading))}
    used: Counter[Pronunciation] = Counter()
    numbered = []
    for word, reading in every:
        if times[reading] > 1 or reading in begins:
            used[reading] += 1
        numbered.append((word, reading, used[reading]))
    return numbered
