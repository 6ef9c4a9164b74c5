"""Utterances as a corpus lists them, and the splits they are dealt to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from softstore.errors import InvalidInputError
from trainer.corpora.source import Rejected

EVERY_TENTH, CV_PLACE, TEST_PLACE = 10, 4, 9
"""Of every ten persons in the order of their names, the fifth is held out as cv and, where the published test
part is absent, the tenth as test."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One utterance of a corpus's lists.

    Attributes:
        person: who speaks, where two speakers may be the same one; a name that begins with the sex deals
            both sexes to every split.
        text: words of the dictionary, separated by single spaces.
        audio: its file, relative to the corpus's directory, without extension.
    """

    utterance_id: str
    speaker: str
    person: str
    text: str
    audio: str
    split: str = "train"


def deal(train: Sequence[Listed], test: Sequence[Listed]) -> tuple[list[Listed], list[Rejected]]:
    """Cut cv and, where there is no test part, test from the persons of the training part.

    Returns:
        The utterances, each in its split, and the training utterances that are rejected as their speaker is
        in the test part too.

    Raises:
        InvalidInputError: an utterance is listed twice.
    """
    counts = Counter(listed.utterance_id for listed in (*train, *test))
    twice = sorted(utterance_id for utterance_id, count in counts.items() if count > 1)
    if twice:
        raise InvalidInputError(
            f"The corpus's lists name {', '.join(twice[:3])} more than once; each must be unique."
        )
    in_test = {listed.person for listed in test}
    split_of = dict.fromkeys(in_test, "")
    for index, person in enumerate(sorted({listed.person for listed in train} - in_test)):
        place = index % EVERY_TENTH
        held_out = "cv" if place == CV_PLACE else "test" if place == TEST_PLACE and not test else "train"
        split_of[person] = held_out
    dealt = [replace(u, split=split_of[u.person]) for u in train if u.person not in in_test]
    rejected = [
        Rejected(u.utterance_id, f"speaker in the test part too: {u.speaker}")
        for u in train
        if u.person in in_test
    ]
    return dealt + [replace(u, split="test") for u in test], rejected
