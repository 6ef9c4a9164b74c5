"""Where the posteriors of a new store come from: a teacher over a corpus, or another store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from softstore.collection import Collection
from softstore.utterance import Utterance

U = TypeVar("U", bound=Utterance)


class Posteriors(Protocol[U]):
    """Posteriors of every utterance of a collection."""

    @property
    def collection(self) -> Collection[U]:
        """The utterances, with the features, labels and manifest columns that travel along."""
        ...

    @property
    def batch_frames(self) -> int:
        """At most so many frames are to be asked for at once; 1: one utterance at a time."""
        ...

    def log_posteriors(self, utterance: U) -> Tensor:
        """Its log p at T = 1, normalised and finite: shape (frames, classes), float32.

        Several threads may ask at once.
        """
        ...

    def log_posteriors_of(self, utterances: Sequence[U]) -> list[Tensor]:
        """The same of several utterances at once, none of which sees the others."""
        ...
