"""A model's scores as a picture: reliability, divergence by temperature, accuracy by condition."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from softstore.errors import InvalidInputError, MissingDependencyError
from trainer.evaluation.scores import Scores
from trainer.evaluation.scoring import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
MOST_VALUES = 40
"""Values of a column that are shown; of more, those with the lowest accuracy."""


def hardest(groups: Mapping[str, Scores], most: int) -> dict[str, Scores]:
    """The ``most`` groups with the lowest frame accuracy, in the order in which they were."""
    lowest = set(sorted(groups, key=lambda value: groups[value].frame_accuracy)[:most])
    return {value: scores for value, scores in groups.items() if value in lowest}


def check_drawable(path: Path) -> str:
    """The format that ``path`` asks for.

    Raises:
        InvalidInputError: it is none of `FORMATS`.
        MissingDependencyError: matplotlib is not installed.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise InvalidInputError(f"{path} is no picture that can be drawn: name a .png, .svg or .pdf file.")
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "A plot needs matplotlib, which is not installed: pip install 'softstore[demo]'."
        ) from error
    return suffix


def draw(results: Mapping[str, Evaluation], suffix: str) -> bytes:
    """The picture of some splits, a colour each; panels that there is nothing for are left out.

    Args:
        suffix: one of `FORMATS`.
    """
    from matplotlib.figure import Figure

    first = next(iter(results.values()))
    column = next((column for result in results.values() for column in result.by), None)
    panels = ["reliability", *["kl"] * bool(first.total.kl), *["column"] * (column is not None)]
    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    axes = dict(zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True))
    _reliability(axes["reliability"], results)
    if "kl" in axes:
        _divergence(axes["kl"], results)
    if column is not None:
        _accuracy(axes["column"], column, results)
    for panel in axes.values():
        panel.grid(alpha=0.3)
    sink = io.BytesIO()
    figure.savefig(sink, format=suffix, dpi=130)
    return sink.getvalue()


def _reliability(axes: Axes, results: Mapping[str, Evaluation]) -> None:
    axes.plot([0, 100], [0, 100], color="grey", linestyle=":")
    for split, result in results.items():
        seen = [(bin_.confidence, bin_.frame_accuracy) for bin_ in result.reliability if bin_.frames]
        label = f"{split}: ECE {result.total.calibration_error:.1f} %"
        axes.plot(*zip(*seen, strict=True), marker="o", markersize=4, label=label)
    axes.set(xlabel="confidence, %", ylabel="frame accuracy, %", xlim=(0, 100), ylim=(0, 100))
    axes.set_aspect("equal")
    axes.legend()


def _divergence(axes: Axes, results: Mapping[str, Evaluation]) -> None:
    for split, result in results.items():
        axes.plot(list(result.total.kl), list(result.total.kl.values()), marker="o", label=split)
    axes.set(xlabel="T", ylabel="KL(teacher ‖ model), nats", ylim=(0, None))
    axes.legend()


def _accuracy(axes: Axes, column: str, results: Mapping[str, Evaluation]) -> None:
    shown = {split: hardest(result.by.get(column, {}), MOST_VALUES) for split, result in results.items()}
    values = list(dict.fromkeys(value for groups in shown.values() for value in groups))
    rows = {value: row for row, value in enumerate(values)}
    for split, groups in shown.items():
        accuracies = [scores.frame_accuracy for scores in groups.values()]
        axes.plot(accuracies, [rows[value] for value in groups], "o", label=split)
    # A value may look like a formula to matplotlib.
    axes.set_yticks(range(len(values)), [value.replace("$", r"\$") for value in values])
    axes.tick_params(axis="y", labelsize=8 if len(values) <= 20 else 5)
    axes.invert_yaxis()
    axes.set(xlabel="frame accuracy, %", ylabel=column)
    axes.legend()
