"""What the training commands share: options over a preset, and the last lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from trainer.config import StudentConfig, TeacherConfig
from trainer.display import TerminalDisplay
from trainer.loop import Run

INTERRUPTED = 130

Config = TypeVar("Config", TeacherConfig, StudentConfig)


def overridden(
    config: Config, learning_rate: float | None, keep_epochs: int | None, **options: Any
) -> Config:
    """A preset with the options that were given."""
    given = {name: value for name, value in options.items() if value is not None}
    if learning_rate is not None:
        given["sgd"] = replace(config.sgd, learning_rate=learning_rate)
    if keep_epochs is not None:
        given["newbob"] = replace(config.newbob, keep_epochs=keep_epochs)
    return replace(config, **given)


@contextmanager
def showing(console: Console, out: Path) -> Iterator[TerminalDisplay]:
    """A display for a run; an interrupted one ends with a sentence and exit code 130."""
    try:
        with TerminalDisplay(console) as display:
            yield display
    except KeyboardInterrupt:
        console.print(f"Interrupted. The same command goes on after the last finished epoch in {out}.")
        raise typer.Exit(INTERRUPTED) from None


def report(console: Console, run: Run, out: Path) -> None:
    """How good the model is, and where it lies."""
    if not run.trained:
        console.print(f"Nothing to do: {out} is finished.", highlight=False, soft_wrap=True)
    best = run.best
    console.print(
        f"FA train [bold]{best.train_accuracy:.1f} %[/], FA cv [bold]{best.cv_accuracy:.1f} %[/] "
        f"after {len(run.history)} epochs: {out}",
        highlight=False,
        soft_wrap=True,
    )
