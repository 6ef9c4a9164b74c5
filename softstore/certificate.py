"""What decoding really gives back: KL(p_T ‖ p̂_T) in nats, measured on the very arrays that were stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs import Codec, Transform
from softstore.codecs.unpacked import select, span
from softstore.divergence import block_frames, divergence_by_temperature
from softstore.softening import CERTIFICATE_TEMPERATURES, entropy, kl_divergence, log_soften

KL_BINS: NDArray[np.float64] = np.logspace(-9, 2, 111)
"""Upper edges of the histogram bins, ten a decade; one more bin beyond the last holds the rest."""


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


def encode_and_measure(
    codec: Codec, log_posteriors: Tensor, temperatures: Sequence[float]
) -> tuple[dict[str, NDArray[np.generic]], Measurement]:
    """Encode normalised log p, (frames, classes), float32, and measure what the stored arrays decode to.

    The transform codec decodes them itself while it encodes, so that nothing need be decoded twice.
    """
    if not isinstance(codec, Transform) or tuple(temperatures) != CERTIFICATE_TEMPERATURES:
        encoded = codec.encode(log_posteriors)
        return encoded, measure(codec, encoded, log_posteriors, temperatures)
    rows, divergence, entropies = [], [], []
    for block in codec.encode_blocks(log_posteriors):
        rows.append(block.rows)
        divergence.append(block.softened.divergence(block.errors))
        entropies.append(block.softened.entropy())
    encoded = codec.join(rows)
    kl = torch.cat(divergence, dim=1).cpu()
    far = kl[0].isnan().nonzero().flatten()
    if len(far):
        frames = far.to(log_posteriors.device)
        unpacked = select(unpack(codec, encoded, log_posteriors.device), frames)
        again = divergences(codec, unpacked, log_posteriors[frames], temperatures)
        kl[:, far] = torch.stack(list(again.values())).cpu()
    by_temperature = dict(zip(temperatures, kl.numpy(), strict=True))
    return encoded, Measurement(by_temperature, torch.cat(entropies).cpu().numpy())


def measure(
    codec: Codec,
    encoded: Mapping[str, NDArray[np.generic]],
    log_posteriors: Tensor,
    temperatures: Sequence[float],
) -> Measurement:
    """Decode ``encoded`` and compare it with the teacher's own log p, (frames, classes), float32."""
    unpacked = unpack(codec, encoded, log_posteriors.device)
    kl = divergences(codec, unpacked, log_posteriors, temperatures)
    blocks = torch.split(log_posteriors, block_frames(log_posteriors))
    entropies = torch.cat([entropy(block) for block in blocks])
    return Measurement({t: values.cpu().numpy() for t, values in kl.items()}, entropies.cpu().numpy())


def unpack(
    codec: Codec, encoded: Mapping[str, NDArray[np.generic]], device: torch.device
) -> dict[str, Tensor]:
    """What a codec encoded, on a device and ready to be decoded there."""
    return codec.unpack({name: torch.from_numpy(array).to(device) for name, array in encoded.items()})


def divergences(
    codec: Codec, unpacked: Mapping[str, Tensor], log_posteriors: Tensor, temperatures: Sequence[float]
) -> dict[float, Tensor]:
    """KL(p_T ‖ p̂_T) of every frame in nats by temperature, each (frames,), float32.

    Args:
        unpacked: of these frames and perhaps some more behind them, which are ignored.
    """
    class_count = log_posteriors.shape[1]
    found: dict[float, list[Tensor]] = {temperature: [] for temperature in temperatures}
    start = 0
    for truth in torch.split(log_posteriors, block_frames(log_posteriors)):
        block = span(unpacked, start, start + len(truth))
        if codec.full_support:
            kl = divergence_by_temperature(truth, codec.decode(block, class_count), temperatures)
        else:
            kl = [
                kl_divergence(log_soften(truth, t), codec.decode(block, class_count, t)) for t in temperatures
            ]
        for temperature, values in zip(temperatures, kl, strict=True):
            found[temperature].append(values)
        start += len(truth)
    return {temperature: torch.cat(values) for temperature, values in found.items()}
