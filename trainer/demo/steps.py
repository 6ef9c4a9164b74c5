"""The demo's steps as public command lines, printed and run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from softstore.errors import SoftstoreError

STORE_NAME = "demo"
STOP_SECONDS = 30

_SOFTSTORE = (sys.executable, "-m", "softstore")


@dataclass(frozen=True, slots=True)
class Student:
    """One row of the table.

    Attributes:
        name: of its directory.
        title: its name in the paper's Table 1.
        targets: as in the paper's Table 1.
        arguments: of `softstore train`.
    """

    name: str
    title: str
    targets: str
    arguments: str


STUDENTS = (
    Student("rnn-0", "RNN-0", "hard", "--targets hard --epochs 8 --learning-rate 0.1 --keep-epochs 4"),
    Student(
        "rnn-t2-pretrain",
        "RNN-T2 (pretrain)",
        "soft, hard",
        "--targets pretrain --temperature 2 --pretrain-epochs 3 --epochs 5 --learning-rate 0.6",
    ),
    Student(
        "rnn-t2-soft",
        "RNN-T2 (soft)",
        "soft",
        "--targets soft --temperature 2 --epochs 6 --learning-rate 0.6",
    ),
)
"""RNN-0 and pretrain see every frame eight times. Learning rates are what each kind of target likes best."""


def run(console: Console, arguments: Sequence[str]) -> None:
    """Print one `softstore` command line and run it.

    Raises:
        SoftstoreError: it did not succeed; its own message has been printed.
    """
    _announce(console, arguments)
    finished = subprocess.run([*_SOFTSTORE, *arguments], check=False)
    _check(arguments, finished.returncode)


def run_side_by_side(console: Console, commands: Mapping[str, Sequence[str]]) -> None:
    """Print several `softstore` command lines and run as many at once as there are processors.

    What they say is printed as it comes, each line behind the command's name.

    Raises:
        SoftstoreError: one did not succeed; the others have been run to their end.
    """
    for arguments in commands.values():
        _announce(console, arguments)
    width = max(map(len, commands)) + 3
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "COLUMNS": str(max(console.width - width, 40)),
        "PYTHONUNBUFFERED": "1",
    }

    def follow(name: str) -> int:
        with subprocess.Popen(
            [*_SOFTSTORE, *commands[name]],
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


@contextmanager
def serving(console: Console, store: Path) -> Iterator[str]:
    """Serve a store on a free loopback port; gives the URL of the store's resource.

    Raises:
        SoftstoreError: the service does not start; its own message has been printed.
    """
    arguments = ("serve", f"{STORE_NAME}={store}", "--port", "0")
    _announce(console, arguments)
    with subprocess.Popen([*_SOFTSTORE, *arguments], stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            line = service.stdout.readline().strip()
            if not line:
                raise SoftstoreError("The service did not start.")
            console.print(line, highlight=False, soft_wrap=True)
            yield line.split()[-1]
        finally:
            service.send_signal(signal.SIGTERM)
            try:
                service.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()


def _announce(console: Console, arguments: Sequence[str]) -> None:
    line = Text(f"$ softstore {shlex.join(arguments)}", style="bold cyan")
    console.print()
    console.print(line, soft_wrap=True)


def _check(arguments: Sequence[str], code: int) -> None:
    if code:
        raise SoftstoreError(f"`softstore {arguments[0]}` ended with exit code {code}.")
