"""Where the posteriors of a new store come from: a teacher over a corpus, or another store."""

from __future__ import annotations

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

    def log_posteriors(self, utterance: U) -> Tensor:
        """Its log p at T = 1, normalised and finite: shape (frames, classes), float32.

        Several threads may ask at once.
        """
        ...
