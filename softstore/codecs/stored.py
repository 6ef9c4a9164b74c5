"""Frames as a codec stores them: a row for each frame of whole blocks, in every array but those of exact
values.

How many rows of exact values each frame has is what `OVERFLOW_ROWS` says. These arrays are missing where no
frame has any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from softstore.codecs.unpacked import OVERFLOW, OVERFLOW_ROWS

EXACT = OVERFLOW[1:]

Arrays = Mapping[str, NDArray[np.generic]]

Cut = tuple[Arrays, int, int]
"""Some frames' arrays, and which of these frames are meant: the first one, and the one behind the last."""


def join(cuts: Sequence[Cut]) -> dict[str, NDArray[np.generic]]:
    """Frames of several utterances, one after another; there is at least one cut."""
    first = cuts[0][0]
    joined = {
        name: np.concatenate([arrays[name][start:stop] for arrays, start, stop in cuts])
        for name in first
        if name != OVERFLOW_ROWS and name not in EXACT
    }
    if any(OVERFLOW_ROWS in arrays for arrays, _, _ in cuts):
        joined |= _exact(cuts)
    return joined


def _exact(cuts: Sequence[Cut]) -> dict[str, NDArray[np.generic]]:
    counts: list[NDArray[np.generic]] = []
    exact: list[Cut] = []
    for arrays, start, stop in cuts:
        if OVERFLOW_ROWS not in arrays:
            counts.append(np.zeros(stop - start, np.uint16))
            continue
        counts.append(arrays[OVERFLOW_ROWS][start:stop])
        before = int(arrays[OVERFLOW_ROWS][:start].sum())
        exact.append((arrays, before, before + int(counts[-1].sum())))
    if not any(stop > start for _, start, stop in exact):
        return {}
    taken = {name: np.concatenate([arrays[name][a:b] for arrays, a, b in exact]) for name in EXACT}
    return {OVERFLOW_ROWS: np.concatenate(counts), **taken}
