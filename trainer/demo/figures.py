"""The report's pictures, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from softstore.utterance import StoredUtterance

SENONES_SHOWN = 48
FAINTEST = 1e-4


def posteriorgram(utterance: StoredUtterance, temperatures: Sequence[float]) -> bytes:
    """Posteriors of one utterance at each temperature, time from left to right, colour logarithmic.

    Rows are the senones with the most mass at the highest temperature, in the order in which they peak, so
    that speech runs down the picture; every panel has the same rows.
    """
    softest = utterance.posteriors(max(temperatures))
    heaviest = np.argsort(-softest.sum(axis=0))[:SENONES_SHOWN]
    rows = heaviest[np.argsort(softest[:, heaviest].argmax(axis=0))]
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = figure.subplots(len(temperatures), 1, sharex=True, squeeze=False)[:, 0]
    seconds = utterance.num_frames * utterance.frames.attributes.frame_shift
    for panel, temperature in zip(panels, temperatures, strict=True):
        image = panel.imshow(
            np.log10(np.maximum(utterance.posteriors(temperature)[:, rows].T, FAINTEST)),
            aspect="auto",
            cmap="magma",
            vmin=np.log10(FAINTEST),
            vmax=0,
            extent=(0, seconds, len(rows), 0),
            interpolation="nearest",
        )
        panel.set_ylabel(f"T = {temperature:g}\nsenones")
        panel.set_yticks([])
    panels[-1].set_xlabel("seconds")
    bar = figure.colorbar(image, ax=list(panels), ticks=range(-4, 1), shrink=0.6)
    bar.ax.set_yticklabels(["≤ 0.0001", "0.001", "0.01", "0.1", "1"])
    bar.set_label("posterior")
    return _png(figure)


def learning_curves(curves: Mapping[str, Sequence[float]]) -> bytes:
    """CV frame accuracy in per cent after each epoch, one line a model."""
    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for title, accuracies in curves.items():
        axes.plot(range(1, len(accuracies) + 1), accuracies, marker="o", markersize=4, label=title)
    axes.set_xlabel("epoch")
    axes.set_ylabel("CV frame accuracy, %")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    return _png(figure)


def bytes_by_track(track_bytes: Mapping[str, int], frames: int) -> bytes:
    """Where the store's bytes went."""
    figure = Figure(figsize=(7.5, 2.2), layout="constrained")
    axes = figure.subplots()
    sizes: NDArray[np.float64] = np.array(list(track_bytes.values())) / frames
    bars = axes.barh(list(track_bytes), sizes)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("bytes a frame")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=130)
    return sink.getvalue()
