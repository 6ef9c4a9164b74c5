"""`softstore show`."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from softstore.store import open_store

ROWS = 16
SHADES = " ░▒▓█"


def show(
    store: Annotated[str, typer.Argument(help="Store: a path or URL.")],
    utterance_id: Annotated[str, typer.Argument(help="Which utterance.")],
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="Softening temperature.")] = 1.0,
    start: Annotated[int, typer.Option(min=0, help="First frame.")] = 0,
    stop: Annotated[
        int | None, typer.Option(min=0, help="Frame to stop before; the end if not given.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes to list.")] = 5,
) -> None:
    """Draw the posteriors of one utterance in the terminal: a posteriorgram, and its heaviest classes.

    Each row of the picture is one of the classes with the most mass in the span, the heaviest at the top; the
    darker, the more probable. The table lists the classes with their mean posterior.

        softstore show runs/demo/store cv-0001 --temperature 2
    """
    console = Console()
    utterance = open_store(store)[utterance_id]
    posteriors = utterance.posteriors(temperature, start, stop)
    mass = posteriors.mean(axis=0) if len(posteriors) else np.zeros(posteriors.shape[1], np.float32)
    heaviest = np.argsort(-mass)
    surprise = -(posteriors * np.log(np.maximum(posteriors, 1e-30))).sum(axis=1)
    console.print(
        f"[bold]{escape(utterance.utterance_id)}[/] · speaker {escape(utterance.speaker)} · "
        f"{escape(utterance.split)} · frames {start} to {start + len(posteriors)} of {utterance.num_frames}"
        f" · T = {temperature:g} · mean entropy {surprise.sum() / max(len(posteriors), 1):.2f} nats",
        highlight=False,
    )
    console.print(Text(utterance.text, style="italic"))
    for line in posteriorgram(posteriors[:, heaviest[:ROWS]], console.width - 8):
        console.print(Text(line))
    table = Table("class")
    table.add_column("mean posterior", justify="right")
    for class_ in heaviest[:top_k]:
        table.add_row(str(class_), f"{mass[class_]:.4f}")
    console.print(table)


def posteriorgram(posteriors: NDArray[np.float32], width: int) -> list[str]:
    """One line of block characters per class, time from left to right.

    Args:
        posteriors: shape (frames, classes).
        width: columns at most; frames that share a column are shown by their maximum.
    """
    frames = len(posteriors)
    if not frames:
        return []
    edges = np.linspace(0, frames, min(width, frames) + 1).astype(int)[:-1]
    columns = np.maximum.reduceat(posteriors, edges, axis=0)
    # Square roots let a posterior of a few per cent be seen beside one near 1.
    levels = np.rint(np.sqrt(columns) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[level] for level in row) for row in levels.T]
