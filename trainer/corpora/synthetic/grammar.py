"""A sentence grammar over a closed vocabulary, in the spirit of read news and business speech."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from trainer.corpora.synthetic.phrases import PHRASES
from trainer.corpora.synthetic.vocabulary import WORDS

PAUSE = ","

_Rules = dict[str, list[tuple[str, ...]]]
"""Phrase or group → its alternatives, each a sequence of words, pauses and references."""


def _rules() -> _Rules:
    rules: _Rules = {name: [(word,) for word in group.split()] for name, group in WORDS.items()}
    name = ""
    for line in PHRASES.strip().splitlines():
        if line.startswith(" "):
            rules[name].append(tuple(line.split()))
        else:
            name = line
            rules[name] = []
    return rules


_RULES = _rules()
_REFERENCE = re.compile(r"<(\w+)>")


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word that a sentence may contain, sorted."""
    seen, waiting, words = {"sentence"}, ["sentence"], set[str]()
    while waiting:
        for symbols in _RULES[waiting.pop()]:
            for symbol in symbols:
                reference = _REFERENCE.fullmatch(symbol)
                if reference is None:
                    words.add(symbol)
                elif reference[1] not in seen:
                    seen.add(reference[1])
                    waiting.append(reference[1])
    return tuple(sorted(words - {PAUSE}))


_AN_DESPITE_SPELLING = ("honest",)
_A_DESPITE_SPELLING = ("euro", "unit", "univ", "usef")


def _article(following: str) -> str:
    sounds_like_vowel = following.startswith(("a", "e", "i", "o", "u", *_AN_DESPITE_SPELLING))
    return "an" if sounds_like_vowel and not following.startswith(_A_DESPITE_SPELLING) else "a"


def sentence(random: np.random.Generator) -> str:
    """One random sentence: words and ``,`` for a pause, separated by single spaces."""
    waiting, spoken = ["<sentence>"], list[str]()
    while waiting:
        symbol = waiting.pop()
        reference = _REFERENCE.fullmatch(symbol)
        if reference is None:
            spoken.append(symbol)
        else:
            alternatives = _RULES[reference[1]]
            waiting.extend(reversed(alternatives[int(random.integers(len(alternatives)))]))
    articles = {at for at, word in enumerate(spoken) if word in ("a", "an")}
    return " ".join(_article(spoken[at + 1]) if at in articles else word for at, word in enumerate(spoken))


def words(sentence: str) -> str:
    """A sentence's words alone, separated by single spaces."""
    return " ".join(word for word in sentence.split() if word != PAUSE)
