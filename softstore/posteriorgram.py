"""A posteriorgram: which classes a teacher hears when. As lines of text, and as a picture."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softstore.errors import InvalidInputError, MissingDependencyError

SHADES = " ░▒▓█"
PICTURE_ROWS = 40
FAINTEST = 1e-4
TITLE_LETTERS = 115


@dataclass(frozen=True, slots=True)
class Posteriorgram:
    """Posteriors of consecutive frames.

    Attributes:
        posteriors: shape (frames, classes), rows sum to 1.
        frame_shift: seconds from one frame to the next.
        start: frames of the utterance before the first of these.
    """

    posteriors: NDArray[np.float32]
    frame_shift: float
    start: int = 0

    @property
    def seconds(self) -> tuple[float, float]:
        """Where these frames begin and end in the utterance."""
        return self.start * self.frame_shift, (self.start + len(self.posteriors)) * self.frame_shift

    def mass(self) -> NDArray[np.float64]:
        """Mean posterior of each class: shape (classes,)."""
        mass: NDArray[np.float64] = self.posteriors.sum(axis=0, dtype=np.float64)
        return mass / max(len(self.posteriors), 1)

    def heaviest(self, count: int) -> NDArray[np.int64]:
        """The classes with the most mass, the heaviest first."""
        return np.argsort(-self.mass(), kind="stable")[:count]

    def entropy(self) -> NDArray[np.float32]:
        """-Σ p log p of each frame in nats: shape (frames,)."""
        entropy: NDArray[np.float32] = -(self.posteriors * np.log(np.maximum(self.posteriors, 1e-30))).sum(
            axis=1
        )
        return np.maximum(entropy, 0)

    def lines(self, rows: int, width: int) -> list[str]:
        """One line of block characters a class, the heaviest at the top, and the seconds below.

        Args:
            width: characters in a line at most; frames that share one are shown by their maximum.
        """
        classes = self.heaviest(rows)
        margin = len(str(classes.max())) + 1
        columns = min(max(width - margin, 1), len(self.posteriors))
        if not columns:
            return []
        edges = np.linspace(0, len(self.posteriors), columns + 1).astype(int)[:-1]
        # Square roots let a posterior of a few per cent be seen beside one near 1.
        shown = np.sqrt(np.maximum.reduceat(self.posteriors[:, classes], edges, axis=0))
        levels = np.rint(shown * (len(SHADES) - 1)).astype(int)
        drawn = [
            f"{class_:>{margin - 1}} {''.join(SHADES[level] for level in row)}"
            for class_, row in zip(classes, levels.T, strict=True)
        ]
        begin, end = (f"{second:.2f} s" for second in self.seconds)
        gap = columns - len(begin) - len(end)
        return [*drawn, " " * margin + (begin + " " * gap + end if gap > 0 else begin)]

    def png(self, title: str, subtitle: str = "") -> bytes:
        """A picture: the heaviest classes over time, colour logarithmic, and the entropy of each frame.

        The classes are in the order in which they peak, so that speech runs down the picture.

        Raises:
            InvalidInputError: there are no frames.
            MissingDependencyError: matplotlib is not installed.
        """
        if not len(self.posteriors):
            raise InvalidInputError("There are no frames to draw: choose a longer span.")
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "A PNG needs matplotlib, which is not installed: pip install 'softstore[demo]'."
            ) from error
        heaviest = self.heaviest(PICTURE_ROWS)
        classes = heaviest[np.argsort(self.posteriors[:, heaviest].argmax(axis=0), kind="stable")]
        begin, end = self.seconds
        figure = Figure(figsize=(11, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
        image = above.imshow(
            np.log10(np.maximum(self.posteriors[:, classes].T, FAINTEST)),
            aspect="auto",
            cmap="magma",
            vmin=np.log10(FAINTEST),
            vmax=0,
            extent=(begin, end, len(classes), 0),
            interpolation="nearest",
        )
        above.set_yticks(np.arange(len(classes)) + 0.5, [str(class_) for class_ in classes], fontsize=6)
        above.tick_params(axis="y", length=0)
        above.set_ylabel(f"the {len(classes)} heaviest classes")
        bar = figure.colorbar(image, ax=above, ticks=range(-4, 1), pad=0.01, aspect=30)
        bar.ax.set_yticklabels([f"≤ {FAINTEST:g}", "0.001", "0.01", "0.1", "1"])
        bar.set_label("posterior")
        entropy = self.entropy()
        below.stairs(entropy, np.linspace(begin, end, len(entropy) + 1), fill=True, color="#8c2981")
        below.set_ylim(0, max(1.05 * float(entropy.max()), 0.1))
        below.set_ylabel("entropy\n(nats)")
        below.set_xlabel("seconds")
        below.grid(axis="y", alpha=0.3)
        below.spines[["top", "right"]].set_visible(False)
        figure.suptitle(_one_line(title), parse_math=False)
        above.set_title(_one_line(subtitle), fontsize="small", style="italic", parse_math=False)
        sink = io.BytesIO()
        with warnings.catch_warnings():
            # Ids and texts in scripts that the font does not have are drawn as boxes.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(sink, format="png", dpi=130)
        return sink.getvalue()


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= TITLE_LETTERS else f"{printable[: TITLE_LETTERS - 1]}…"
