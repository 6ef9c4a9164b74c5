"""What a store's readers get, summed up over all its frames from the published measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.certificate import KL_BINS
from softstore.frames import Frames
from softstore.manifest import histogram_of


@dataclass(frozen=True, slots=True)
class KlSummary:
    """Divergence over all frames of a store at one temperature, in nats.

    Attributes:
        p999: no more than one frame in a thousand diverges more than this (upper edge of a histogram bin).
    """

    temperature: float
    mean: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class StoreCertificate:
    """What a store's readers get, over all its frames."""

    frames: int
    mean_entropy: float
    kl: list[KlSummary]


def store_certificate(frames: Frames) -> StoreCertificate:
    """Sum up the published measurements, a piece of the manifest at a time; nothing is decoded again.

    Raises:
        CorruptDataError: as `Frames.manifest`.
    """
    temperatures = frames.attributes.certificate_temperatures
    means = ["entropy", *(f"mean_kl_t{temperature:g}" for temperature in temperatures)]
    worst = [f"max_kl_t{temperature:g}" for temperature in temperatures]
    total = 0
    sums = np.zeros(len(means))
    highest = np.zeros(len(worst))
    counts = np.zeros((len(temperatures), len(KL_BINS) + 1), np.int64)
    for utterances, shards in frames.pieces(["shard", "num_frames", *means, *worst, "kl_histogram"]):
        if not len(utterances):
            continue
        total += int(utterances["num_frames"].to_numpy().sum(dtype=np.int64))
        sums = _add_shards(sums, utterances, means)
        highest = np.maximum(highest, [utterances[name].to_numpy().max() for name in worst])
        for row, temperature in enumerate(temperatures):
            counts[row] += histogram_of(shards["kl_histogram"], temperature)
    if not total:
        return StoreCertificate(0, 0.0, [])
    mean_entropy, *mean_kl = (sums / total).tolist()
    kl = [
        KlSummary(float(temperature), mean, _p999(histogram, largest), largest)
        for temperature, mean, histogram, largest in zip(
            temperatures, mean_kl, counts, highest.tolist(), strict=True
        )
    ]
    return StoreCertificate(total, mean_entropy, kl)


def _add_shards(
    sums: NDArray[np.float64], utterances: pa.Table, columns: Sequence[str]
) -> NDArray[np.float64]:
    """Add each column's sum over all frames, shard by shard, so that how they are cut into pieces is nothing
    to the last bit."""
    begins = np.flatnonzero(np.diff(utterances["shard"].to_numpy(), prepend=-1))
    weights = utterances["num_frames"].to_numpy()
    by_column = np.stack([utterances[name].to_numpy() * weights for name in columns])
    for shard in np.add.reduceat(by_column, begins, axis=1).T:
        sums = sums + shard
    return sums


def _p999(histogram: NDArray[np.int64], largest: float) -> float:
    counts = np.cumsum(histogram)
    bin_ = int(np.searchsorted(counts, 0.999 * counts[-1]))
    return min(float(KL_BINS[bin_]) if bin_ < len(KL_BINS) else largest, largest)
