"""The demo's students, and the service they learn from."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from softstore.errors import SoftstoreError
from trainer.command_lines import SOFTSTORE, announce

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


@contextmanager
def serving(console: Console, store: Path) -> Iterator[str]:
    """Serve a store on a free loopback port; gives the URL of the store's resource.

    Raises:
        SoftstoreError: the service does not start; its own message has been printed.
    """
    arguments = ("serve", f"{STORE_NAME}={store}", "--port", "0")
    announce(console, arguments)
    with subprocess.Popen([*SOFTSTORE, *arguments], stdout=subprocess.PIPE, text=True) as service:
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
