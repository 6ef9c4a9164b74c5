"""Public command lines of softstore, printed and run: what journeys of many steps are made of."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.text import Text

from softstore.errors import SoftstoreError

SOFTSTORE = (sys.executable, "-m", "softstore")


def run(console: Console, arguments: Sequence[str]) -> None:
    """Print one `softstore` command line and run it.

    Raises:
        SoftstoreError: it did not succeed; its own message has been printed.
    """
    announce(console, arguments)
    finished = subprocess.run([*SOFTSTORE, *arguments], check=False)
    _check(arguments, finished.returncode)


def run_side_by_side(console: Console, commands: Mapping[str, Sequence[str]]) -> None:
    """Print several `softstore` command lines and run as many at once as there are processors.

    What they say is printed as it comes, each line behind the command's name.

    Raises:
        SoftstoreError: one did not succeed; the others have been run to their end.
    """
    for arguments in commands.values():
        announce(console, arguments)
    if not commands:
        return
    width = max(map(len, commands)) + 3
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "COLUMNS": str(max(console.width - width, 40)),
        "PYTHONUNBUFFERED": "1",
    }

    def follow(name: str) -> int:
        with subprocess.Popen(
            [*SOFTSTORE, *commands[name]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as command:
            assert command.stdout is not None
            for line in command.stdout:
                text = Text.assemble((f"{name:>{width - 3}} │ ", "cyan"), line.rstrip())
                console.print(text, soft_wrap=True)
        return command.returncode

    with ThreadPoolExecutor(min(len(commands), os.cpu_count() or 1)) as pool:
        for arguments, code in zip(commands.values(), pool.map(follow, commands), strict=True):
            _check(arguments, code)


def announce(console: Console, arguments: Sequence[str]) -> None:
    """Print a command line as one would type it."""
    line = Text(f"$ softstore {shlex.join(arguments)}", style="bold cyan")
    console.print()
    console.print(line, soft_wrap=True)


def _check(arguments: Sequence[str], code: int) -> None:
    if code:
        raise SoftstoreError(f"`softstore {arguments[0]}` ended with exit code {code}.")
