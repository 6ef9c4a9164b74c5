"""A bound on every frame's divergence, kept: frames that miss it are stored more exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.certificate import divergences, unpack
from softstore.codecs.transform import Transform
from softstore.codecs.unpacked import select
from softstore.errors import InvalidInputError


def hold_to_bound(
    codec: Transform,
    encoded: dict[str, NDArray[np.generic]],
    log_posteriors: Tensor,
    temperatures: Sequence[float],
    kl: dict[float, NDArray[np.float32]],
) -> dict[str, NDArray[np.generic]]:
    """``encoded`` with every frame within ``codec.max_kl`` at every temperature.

    Args:
        encoded: of ``log_posteriors``, (frames, classes), float32.
        kl: as measured on ``encoded``, nats by temperature, each (frames,); brought up to date in place.

    Raises:
        InvalidInputError: float32 cannot keep that bound.
    """
    assert codec.max_kl is not None
    rows = np.zeros(len(log_posteriors), np.int64)
    for wanted in codec.ladder():
        worst = np.stack([kl[temperature] for temperature in temperatures]).max(axis=0)
        missed = np.flatnonzero(~(worst <= codec.max_kl))
        if not len(missed):
            break
        rows[missed] = wanted
        encoded = codec.escalate(encoded, log_posteriors, rows)
        frames = torch.from_numpy(missed).to(log_posteriors.device)
        unpacked = select(unpack(codec, encoded, log_posteriors.device), frames)
        measured = divergences(codec, unpacked, log_posteriors[frames], temperatures)
        for temperature, values in measured.items():
            kl[temperature][missed] = values.cpu().numpy()
    worst = max(float(values.max()) for values in kl.values())
    if not worst <= codec.max_kl:
        raise InvalidInputError(
            f"No frame was to diverge more than {codec.max_kl:g} nats, and one does by {worst:g} with its "
            "exact values: use the float32 codec."
        )
    return encoded
