"""What the training commands share: where a configuration comes from, the run's frame, and the last lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from softstore.errors import InvalidInputError, NotFoundError
from trainer.config import LoopConfig, StudentConfig, TeacherConfig
from trainer.config_file import CONFIG, read_toml, take_sources, with_values
from trainer.device import choose_device
from trainer.display import TerminalDisplay
from trainer.loop import Run
from trainer.ranks import Ranks, joined
from trainer.stopping import Stopped
from trainer.task import Display, Silent

INTERRUPTED = 130

Config = TypeVar("Config", TeacherConfig, StudentConfig)


def configured(
    base: Config, file: Path | None, sources: Sequence[str], options: Mapping[str, Any]
) -> tuple[Config, Sequence[str]]:
    """A configuration and what to learn from: ``base``, changed by a file, and that by options.

    Args:
        sources: stores and corpora; where there are any, in the place of all that the file names.
        options: by key or section, as in a file; None where an option was not given.

    Raises:
        InvalidInputError: a value that cannot be, or no source.
        NotFoundError: there is no such file.
    """
    config = base
    if file is not None:
        values = read_toml(file)
        named = take_sources(values, str(file))
        sources = sources or named
        config = with_values(config, values, str(file))
    config = with_values(config, _given(options), "the options")
    if not sources:
        raise InvalidInputError("There is nothing to learn from: name a store or corpus.")
    return config, sources


def resumed(
    base: Config,
    out: Path,
    sources: Sequence[str],
    file: Path | None,
    options: Mapping[str, Any],
    loop: Mapping[str, Any],
) -> tuple[Config, Sequence[str]]:
    """The configuration that a run left in its directory.

    Args:
        sources, loop: what may be another than it was, for it changes no result.

    Raises:
        InvalidInputError: anything else is given.
        NotFoundError: there is no run.
    """
    if file is not None or _given(options):
        given = ", ".join(["config"] * (file is not None) + list(_given(options)))
        raise InvalidInputError(
            f"With --resume the run in {out} goes on as it was configured: leave out {given}."
        )
    if not (out / CONFIG).exists():
        raise NotFoundError(f"There is no run to go on with in {out}: it has no {CONFIG}.")
    return configured(base, out / CONFIG, sources, {"loop": loop})


@contextmanager
def running(console: Console, command: str, out: Path, loop: LoopConfig) -> Iterator[tuple[Display, Ranks]]:
    """The display and the ranks of a run; one that is stopped ends with a sentence, exit code 143 or 130."""
    going_on = f"`softstore {command} --resume --out {out}` goes on"
    device = choose_device(loop.device)
    first = os.environ.get("RANK", "0") == "0"
    try:
        with joined(device) as ranks:
            if not first:
                yield Silent(), ranks
                return
            with TerminalDisplay(console) as display:
                yield display, ranks
    except Stopped as stopped:
        if first:
            console.print(f"{stopped} {going_on}.", highlight=False, soft_wrap=True)
        raise typer.Exit(stopped.exit_code) from None
    except KeyboardInterrupt:
        if first:
            console.print(f"Interrupted. {going_on}.", highlight=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None


def report(console: Console, run: Run, out: Path) -> None:
    """How good the model is, and where it lies."""
    if not run.task.ranks.is_first:
        return
    if not run.trained:
        console.print(f"Nothing to do: {out} is finished.", highlight=False, soft_wrap=True)
    best = run.best
    console.print(
        f"FA train [bold]{best.train_accuracy:.1f} %[/], FA cv [bold]{best.cv_accuracy:.1f} %[/] "
        f"after {len(run.history)} epochs: {out}",
        highlight=False,
        soft_wrap=True,
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None, and sections without anything."""
    given = {
        name: _given(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if value is not None
    }
    return {name: value for name, value in given.items() if value != {}}
