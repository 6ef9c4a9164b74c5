"""`softstore show`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from softstore.errors import InvalidInputError, StorageError
from softstore.posteriorgram import Posteriorgram
from softstore.store import open_store

ROWS = 16


def show(
    store: Annotated[str, typer.Argument(help="Store: a path or URL.")],
    utterance_id: Annotated[str, typer.Argument(help="Which utterance.")],
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="Softening temperature.")] = 1.0,
    start: Annotated[int, typer.Option(min=0, help="First frame.")] = 0,
    stop: Annotated[
        int | None, typer.Option(min=0, help="Frame to stop before; the end if not given.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes to list.")] = 5,
    png: Annotated[Path | None, typer.Option(help="Draw into this file instead of the terminal.")] = None,
) -> None:
    """Draw the posteriors of one utterance: a posteriorgram, and its heaviest classes.

    Each row of the picture is one of the classes with the most mass in the span, in the terminal the heaviest
    at the top; the darker, the more probable. The table lists the classes with their mean posterior. A PNG
    shows more classes, in the order in which they peak, and the entropy of every frame.

        softstore show runs/demo/store cv-0001 --temperature 2
        softstore show runs/demo/store cv-0001 --temperature 2 --png cv-0001.png
    """
    console = Console()
    utterance = open_store(store)[utterance_id]
    posteriors = utterance.posteriors(temperature, start, stop)
    drawing = Posteriorgram(posteriors, utterance.frames.attributes.frame_shift, start)
    entropy = float(drawing.entropy().mean()) if len(posteriors) else 0.0
    facts = [
        utterance.utterance_id,
        f"speaker {utterance.speaker}",
        utterance.split,
        f"frames {start} to {start + len(posteriors)} of {utterance.num_frames}",
        f"T = {temperature:g}",
        f"mean entropy {entropy:.2f} nats",
    ]
    if png is not None:
        _write(png, drawing.png(" · ".join(facts), utterance.text))
    console.print(f"[bold]{escape(facts[0])}[/] · {escape(' · '.join(facts[1:]))}", highlight=False)
    console.print(Text(utterance.text, style="italic"))
    if png is not None:
        console.print(Text(f"Drawn into {png}."))
    else:
        for line in drawing.lines(ROWS, console.width):
            console.print(Text(line), no_wrap=True, crop=True)
    table = Table("class")
    table.add_column("mean posterior", justify="right")
    mass = drawing.mass()
    for class_ in drawing.heaviest(top_k):
        table.add_row(str(class_), f"{mass[class_]:.4f}")
    console.print(table)


def _write(path: Path, data: bytes) -> None:
    """All of a file or nothing: what is there stays until the new file is whole."""
    if path.is_dir():
        raise InvalidInputError(f"{path} is a directory: name a file to draw into.")
    if not path.parent.is_dir():
        raise InvalidInputError(f"There is no directory {path.parent} to draw into: make it first.")
    unfinished = path.with_name(f".softstore-{os.getpid()}.png")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
