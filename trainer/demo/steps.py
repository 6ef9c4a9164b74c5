"""The demo's steps as public command lines, printed and run."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from softstore.errors import SoftstoreError

STORE_NAME = "demo"
STOP_SECONDS = 30


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
    arguments: tuple[str, ...]


STUDENTS = (
    Student("rnn-0", "RNN-0", "hard", ("--targets", "hard")),
    Student("rnn-t2-soft", "RNN-T2 (soft)", "soft", ("--targets", "soft", "--temperature", "2")),
    Student(
        "rnn-t2-pretrain", "RNN-T2 (pretrain)", "soft, hard", ("--targets", "pretrain", "--temperature", "2")
    ),
)


def run(console: Console, *arguments: str) -> None:
    """Print one `softstore` command line and run it.

    Raises:
        SoftstoreError: it did not succeed; its own message has been printed.
    """
    _announce(console, arguments)
    finished = subprocess.run([sys.executable, "-m", "softstore", *arguments], check=False)
    if finished.returncode:
        raise SoftstoreError(f"`softstore {arguments[0]}` ended with exit code {finished.returncode}.")


@contextmanager
def serving(console: Console, store: Path) -> Iterator[str]:
    """Serve a store on a free loopback port; gives the URL of the store's resource."""
    arguments = ("serve", f"{STORE_NAME}={store}", "--port", "0")
    _announce(console, arguments)
    command = [sys.executable, "-m", "softstore", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            line = service.stdout.readline().strip()
            if not line:
                raise SoftstoreError("The service did not start; its own message is above.")
            console.print(line, highlight=False, soft_wrap=True)
            yield line.split()[-1]
        finally:
            service.send_signal(signal.SIGTERM)
            try:
                service.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()


def _announce(console: Console, arguments: tuple[str, ...]) -> None:
    console.print(f"\n[bold cyan]$ softstore {shlex.join(arguments)}[/]", highlight=False, soft_wrap=True)
