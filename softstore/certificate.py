"""What decoding really gives back: KL(p_T ‖ p̂_T) in nats, measured on the very arrays that were stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs import Codec
from softstore.codecs.unpacked import span
from softstore.manifest import Manifest
from softstore.softening import divergence_by_temperature, entropy, kl_divergence, log_soften

KL_BINS: NDArray[np.float64] = np.logspace(-9, 2, 111)
"""Upper edges of the histogram bins, ten a decade; one more bin beyond the last holds the rest."""

_BLOCK_FRAMES = 128
"""Frames decoded at a time: few enough that everything stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Divergence of one utterance's frames.

    Attributes:
        kl: by temperature, shape (frames,), float32, nats.
        entropy: of the teacher's posteriors at T = 1, shape (frames,), float32, nats.
    """

    kl: dict[float, NDArray[np.float32]]
    entropy: NDArray[np.float32]

    def columns(self) -> dict[str, float]:
        """The utterance's manifest columns."""
        columns = {"entropy": float(self.entropy.mean())}
        for temperature, kl in self.kl.items():
            columns[f"mean_kl_t{temperature:g}"] = float(kl.mean())
            columns[f"max_kl_t{temperature:g}"] = float(kl.max())
        return columns

    def histogram(self) -> dict[str, list[int]]:
        """Frames per bin of `KL_BINS`, by temperature as text."""
        bins = len(KL_BINS) + 1
        return {
            f"{temperature:g}": np.bincount(np.searchsorted(KL_BINS, kl), minlength=bins).tolist()
            for temperature, kl in self.kl.items()
        }


def measure(
    codec: Codec,
    encoded: Mapping[str, NDArray[np.generic]],
    log_posteriors: Tensor,
    temperatures: Sequence[float],
) -> Measurement:
    """Decode ``encoded`` and compare it with the teacher's own log p, (frames, classes), float32."""
    stored = {name: torch.from_numpy(array) for name, array in encoded.items()}
    truth = log_posteriors.cpu()
    kl = divergences(codec, codec.unpack(stored), truth, temperatures)
    entropies = torch.cat([entropy(block) for block in torch.split(truth, _BLOCK_FRAMES)])
    return Measurement({t: column.numpy() for t, column in kl.items()}, entropies.numpy())


def divergences(
    codec: Codec, unpacked: Mapping[str, Tensor], log_posteriors: Tensor, temperatures: Sequence[float]
) -> dict[float, Tensor]:
    """KL(p_T ‖ p̂_T) of every frame in nats by temperature, each (frames,), float32.

    Args:
        unpacked: of these frames and perhaps some more behind them, which are ignored.
    """
    class_count = log_posteriors.shape[1]
    found: dict[float, list[Tensor]] = {temperature: [] for temperature in temperatures}
    for start in range(0, len(log_posteriors), _BLOCK_FRAMES):
        truth = log_posteriors[start : start + _BLOCK_FRAMES]
        block = span(unpacked, start, start + len(truth))
        if codec.full_support:
            kl = divergence_by_temperature(truth, codec.decode(block, class_count), temperatures)
        else:
            kl = [
                kl_divergence(log_soften(truth, t), codec.decode(block, class_count, t)) for t in temperatures
            ]
        for temperature, values in zip(temperatures, kl, strict=True):
            found[temperature].append(values)
    return {temperature: torch.cat(values) for temperature, values in found.items()}


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


def store_certificate(manifest: Manifest, temperatures: Sequence[float]) -> StoreCertificate:
    """Sum up the published measurements; nothing is decoded again."""
    frames = manifest.table["num_frames"].to_numpy().astype(np.float64)
    if not len(frames):
        return StoreCertificate(0, 0.0, [])
    summaries = []
    for temperature in temperatures:
        worst = float(manifest.table[f"max_kl_t{temperature:g}"].to_numpy().max())
        mean = float(np.average(manifest.table[f"mean_kl_t{temperature:g}"].to_numpy(), weights=frames))
        counts = np.cumsum(manifest.kl_histogram(temperature))
        bin_ = int(np.searchsorted(counts, 0.999 * counts[-1]))
        p999 = min(float(KL_BINS[bin_]) if bin_ < len(KL_BINS) else worst, worst)
        summaries.append(KlSummary(float(temperature), mean, p999, worst))
    mean_entropy = float(np.average(manifest.table["entropy"].to_numpy(), weights=frames))
    return StoreCertificate(int(frames.sum()), mean_entropy, summaries)
