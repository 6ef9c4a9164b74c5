"""Servers in processes of their own, which say on their first line where they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """Attributes: url, such as ``http://127.0.0.1:8000``."""

    url: str
    pid: int

    def memory_mb(self) -> float:
        """What it holds now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS"))


@contextmanager
def server(module: str, *arguments: str | Path) -> Iterator[Server]:
    """`python -m module` with these arguments, while the context lasts."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(command)} did not start")
            scheme, _, rest = line.split()[-1].partition("://")
            yield Server(f"{scheme}://{rest.partition('/')[0]}", process.pid)
        finally:
            process.terminate()
            process.wait()
