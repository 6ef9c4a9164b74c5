"""The `softstore` command; other packages' sub-commands join by entry point (``softstore.commands``)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from softstore import __version__
from softstore.commands.compact import compact
from softstore.commands.copy import copy
from softstore.commands.generate import generate
from softstore.commands.info import info
from softstore.commands.plan import plan
from softstore.commands.recode import recode
from softstore.commands.show import show
from softstore.commands.verify import verify
from softstore.errors import MissingDependencyError, SoftstoreError

ENTRY_POINTS = "softstore.commands"
BAD_INPUT = 2

_PATH_OF_THE_DATA = (
    *("corpus", "teacher", "plan", "generate", "info", "show", "verify", "compact", "copy", "recode"),
    *("serve", "token", "train", "evaluate", "export", "demo"),
)


class _InTheOrderOfTheJourney(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_order)


def build() -> typer.Typer:
    """The whole command, with every sub-command that is installed."""
    app = typer.Typer(
        cls=_InTheOrderOfTheJourney,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command("plan")(plan)
    app.command("generate")(generate)
    app.command("info")(info)
    app.command("show")(show)
    app.command("verify")(verify)
    app.command("compact")(compact)
    app.command("copy")(copy)
    app.command("recode")(recode)
    for point in entry_points(group=ENTRY_POINTS):
        _join(app, point)
    return app


def main() -> None:
    """Run the command; a `SoftstoreError` becomes one sentence on stderr and exit code 2."""
    try:
        build()()
    except SoftstoreError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("Error: ", style="bold red", end="")
        console.print(str(error), markup=False, emoji=False)
        sys.exit(BAD_INPUT)


def _join(app: typer.Typer, point: EntryPoint) -> None:
    """Add another package's sub-command, or one that says what to install where an extra is missing."""
    try:
        command = point.load()
    except ModuleNotFoundError as error:
        whatever = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(point.name, context_settings=whatever)(_unavailable(point.name, error.name))
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=point.name)
    else:
        app.command(point.name)(command)


def _unavailable(name: str, missing: str | None) -> Callable[[], None]:
    def command() -> None:
        raise MissingDependencyError(
            f"`softstore {name}` needs {missing}, which is not installed: pip install 'softstore[all]'."
        )

    command.__doc__ = f"Not installed: needs {missing} (pip install 'softstore[all]')."
    return command


def _order(name: str) -> tuple[int, str]:
    known = name in _PATH_OF_THE_DATA
    return (_PATH_OF_THE_DATA.index(name) if known else len(_PATH_OF_THE_DATA)), name


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"softstore {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run a teacher once, keep its posteriors small and certified, and train students from them anywhere.

    A corpus trains a teacher (`teacher train`), the teacher's soft targets become a store (`generate`), and
    the store, on disk or behind `serve`, trains students (`train`). `softstore demo` makes the whole journey.
    """
