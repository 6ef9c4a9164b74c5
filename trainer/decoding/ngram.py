"""An n-gram language model of texts, in the ARPA format: interpolated Witten-Bell.

    p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h))

where c counts, t(h) is the number of different words seen after h, and h' is h without its first word; below
the unigram lies the uniform distribution over the vocabulary (Witten & Bell 1991; as Chen & Goodman 1998
write it). It has no discounts to be estimated, which the few sentences of a small corpus could not support.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from softstore.errors import InvalidInputError

BEGIN, END = "<s>", "</s>"
ORDER = 3
NEVER = -99.0
"""log10 p of the begin of a sentence, which is never predicted."""

Ngram = tuple[str, ...]


def witten_bell(sentences: Iterable[Sequence[str]], vocabulary: Collection[str], order: int = ORDER) -> str:
    """The language model of some sentences as the text of an ARPA file.

    Args:
        sentences: words; n-grams with a word outside of the vocabulary are not counted.
        vocabulary: every word that can be recognised, seen or not.

    Raises:
        InvalidInputError: there is no sentence.
    """
    words = sorted(vocabulary)
    counts = _counted(sentences, {*words, BEGIN}, order)
    if not counts:
        raise InvalidInputError("The corpus has no training texts to estimate a language model from.")
    totals: Counter[Ngram] = Counter()
    types: Counter[Ngram] = Counter()
    for of_length in counts:
        for ngram, count in of_length.items():
            totals[ngram[:-1]] += count
            types[ngram[:-1]] += 1
    backoff = {history: types[history] / (totals[history] + types[history]) for history in totals}

    probability: dict[Ngram, float] = {(): 1 / (len(words) + 1)}

    def interpolate(ngram: Ngram, count: int) -> None:
        history = ngram[:-1]
        seen = count / (totals[history] + types[history])
        probability[ngram] = seen + backoff[history] * probability[ngram[1:]]

    for word in (*words, END):
        interpolate((word,), counts[0][(word,)])
    for of_length in counts[1:]:
        for ngram, count in of_length.items():
            interpolate(ngram, count)

    listed: list[list[Ngram]] = [[(BEGIN,), *((word,) for word in words), (END,)]]
    listed += [sorted(of_length) for of_length in counts[1:]]
    return "\n".join(_arpa(listed, probability, backoff)) + "\n"


def _counted(sentences: Iterable[Sequence[str]], known: set[str], order: int) -> list[Counter[Ngram]]:
    """n-grams by their length, as far as there are any."""
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        said = [BEGIN, *sentence, END]
        for last in range(1, len(said)):
            for length in range(1, min(order, last + 1) + 1):
                first = last + 1 - length
                if said[first] not in known and first < len(said) - 1:
                    break
                counts[length - 1][tuple(said[first : last + 1])] += 1
    return [of_length for of_length in counts if of_length]


def _arpa(
    listed: Sequence[Sequence[Ngram]], probability: dict[Ngram, float], backoff: dict[Ngram, float]
) -> Iterator[str]:
    yield "\\data\\"
    for length, ngrams in enumerate(listed, start=1):
        yield f"ngram {length}={len(ngrams)}"
    for length, ngrams in enumerate(listed, start=1):
        yield f"\n\\{length}-grams:"
        for ngram in ngrams:
            log_p = NEVER if ngram == (BEGIN,) else math.log10(probability[ngram])
            weight = f"\t{math.log10(backoff[ngram]):.6f}" if ngram in backoff else ""
            yield f"{log_p:.6f}\t{' '.join(ngram)}{weight}"
    yield "\n\\end\\"
