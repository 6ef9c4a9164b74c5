"""Word errors and how sure one can be of their rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from softstore.errors import InvalidInputError
from trainer.decoding.libraries import library

REPLICATIONS = 10_000
SEED = 0

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Of some utterances.

    Attributes:
        words: that were said.
        word_error_rate: per cent of them; insertions, deletions and substitutions together.
        low, high: its 95 % interval, per cent, from `REPLICATIONS` bootstrap samples of utterances (Bisani &
            Ney 2004).
    """

    utterances: int
    words: int
    insertions: int
    deletions: int
    substitutions: int
    word_error_rate: float
    low: float
    high: float


def count_errors(said: Words, heard: Words) -> int:
    """The fewest insertions, deletions and substitutions that turn one into the other."""
    return int(library("kaldialign").edit_distance(list(said), list(heard))["total"])


def word_errors(said: Mapping[str, Words], heard: Mapping[str, Words]) -> WordErrors:
    """Compare what was said with what was heard, by utterance; where nothing was heard, all is deleted.

    Raises:
        InvalidInputError: nothing was said.
    """
    kaldialign = library("kaldialign")
    references = [list(words) for words in said.values()]
    hypotheses = [list(heard.get(utterance_id, ())) for utterance_id in said]
    total = kaldialign.batch_error_rate(references, hypotheses)
    if not total["ref_len"]:
        raise InvalidInputError("These utterances have no texts to count word errors against.")
    sampled = kaldialign.bootstrap_wer_ci(references, hypotheses, replications=REPLICATIONS, seed=SEED)
    return WordErrors(
        len(references),
        total["ref_len"],
        total["ins"],
        total["del"],
        total["sub"],
        100 * total["err_rate"],
        100 * max(sampled["ci95min"], 0.0),
        100 * sampled["ci95max"],
    )
