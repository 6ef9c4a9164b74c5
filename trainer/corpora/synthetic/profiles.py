"""How large a synthetic corpus is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SPLITS = ("train", "cv", "test")


@dataclass(frozen=True, slots=True)
class Profile:
    """The size of a corpus.

    Attributes:
        speakers: split → number of speakers.
        sentences: split → number of different sentences.
        every_condition: say each cv and test sentence in all 14 conditions, as Aurora4 does,
            instead of in the next one.
    """

    speakers: Mapping[str, int]
    sentences: Mapping[str, int]
    every_condition: bool = False


PROFILES: dict[str, Profile] = {
    "tiny": Profile(
        speakers={"train": 6, "cv": 2, "test": 2},
        sentences={"train": 8, "cv": 2, "test": 2},
    ),
    "mini": Profile(
        speakers={"train": 44, "cv": 8, "test": 8},
        sentences={"train": 224, "cv": 42, "test": 28},
    ),
    "small": Profile(
        speakers={"train": 60, "cv": 14, "test": 8},
        sentences={"train": 1120, "cv": 140, "test": 56},
    ),
    "aurora4": Profile(
        speakers={"train": 83, "cv": 10, "test": 8},
        sentences={"train": 7137, "cv": 330, "test": 330},
        every_condition=True,
    ),
}
"""About one minute of speech, 30 minutes, 2 hours, and 30 hours (7137, 4620 and 4620 utterances)."""
