"""Word → pronunciations, as the synthesiser says the word in sentences, in every accent."""

from __future__ import annotations

from collections import Counter

import numpy as np

from trainer.corpora.synthetic.espeak import pronounce
from trainer.corpora.synthetic.grammar import PAUSE, sentence, vocabulary, words
from trainer.corpora.synthetic.phones import phone
from trainer.corpora.synthetic.speakers import ACCENTS

_SENTENCES = 400
_WORDS_PER_LIST = 12
_MOST_PRONUNCIATIONS = 8


def build_lexicon(seed: int) -> dict[str, list[tuple[str, ...]]]:
    """Every word of the vocabulary → its pronunciations, the most frequent first.

    They are counted over sentences of the grammar, which show how words change in context, and over a
    list of all words; a word keeps its `_MOST_PRONUNCIATIONS` most frequent ones.
    """
    random = np.random.default_rng(seed)
    said = [sentence(random) for _ in range(_SENTENCES)]
    every = vocabulary()
    said += [
        f" {PAUSE} ".join(every[at : at + _WORDS_PER_LIST]) for at in range(0, len(every), _WORDS_PER_LIST)
    ]
    counts: dict[str, Counter[tuple[str, ...]]] = {word: Counter() for word in every}
    for accent in ACCENTS:
        for text, pronunciations in zip(said, pronounce(said, accent), strict=True):
            for word, phonemes in zip(words(text).split(), pronunciations, strict=True):
                counts[word][tuple(phone(name, accent) for name in phonemes)] += 1
    return {
        word: [pronunciation for pronunciation, _ in count.most_common(_MOST_PRONUNCIATIONS)]
        for word, count in counts.items()
    }
