"""What every peer offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

UTTERANCES_PER_SHARD = 16
"""About 10,000 frames: enough shards to be shuffled and shared by workers."""

SHUFFLED = 50
"""Utterances shuffled among each other, about as many as `trainer.loading` does."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance with all that a student learns from.

    Attributes:
        features: (frames, dimensions), float16.
        labels: (frames,), uint16.
        log_posteriors: (frames, classes), float16.
    """

    utterance_id: str
    features: NDArray[np.float16]
    labels: NDArray[np.uint16]
    log_posteriors: NDArray[np.float16]

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"features": self.features, "labels": self.labels, "log_posteriors": self.log_posteriors}


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to keep utterances.

    Attributes:
        write: utterances → files in a directory, which is there and empty.
        read: that directory and a number of worker processes, 0: none → what hands out, at each iteration,
            every utterance once in another order: a mapping with `Spoken`'s arrays, as arrays or tensors.
    """

    name: str
    write: Callable[[Sequence[Spoken], Path], None]
    read: Callable[[Path, int], Iterable[Mapping[str, Any]]]
