"""What every corpus maker yields: utterances with features and a state alignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.alignment import Alignment

LOG_LIKELIHOOD = "alignment_log_likelihood"
"""The extra column of sources whose alignment has one: mean per frame of the utterance, in nats."""


@dataclass(frozen=True, slots=True)
class AlignedUtterance:
    """One utterance before senones are tied.

    Attributes:
        split: ``train``, ``cv`` or ``test``; speakers never cross splits.
        text: the words spoken, separated by single spaces.
        features: shape (frames, 40), float32: log-mel filter-bank energies (see `trainer.corpora.fbank`).
        extra: further manifest columns, the same for every utterance of a corpus
            (for instance the noise condition and its signal-to-noise ratio in dB).
    """

    utterance_id: str
    speaker: str
    split: str
    text: str
    features: NDArray[np.float32]
    alignment: Alignment
    extra: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An utterance that could not be used, and why; it is listed, never dropped in silence.

    Attributes:
        reason: of what kind it is stands before the first colon, where there is more to say.
    """

    utterance_id: str
    reason: str

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]


class Source(Protocol):
    """A corpus before it is written.

    Attributes:
        description: what to record about the corpus (name, seed, licence, versions); JSON values only.
        lexicon: word → its pronunciations, each a tuple of phones.
        total: how many utterances `utterances` will yield, rejected ones included.
    """

    @property
    def description(self) -> Mapping[str, object]: ...

    @property
    def lexicon(self) -> Mapping[str, list[tuple[str, ...]]]: ...

    @property
    def total(self) -> int: ...

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        """Every utterance in a fixed order, whatever the number of worker processes."""
        ...
