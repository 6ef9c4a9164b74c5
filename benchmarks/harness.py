"""What every benchmark shares: fair timing, one table, one JSON report."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

Row = Mapping[str, str | int | float]

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="Fewer, smaller runs; for trying it out.")]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise, and what was measured."""

    name: str
    value: float
    target: float
    met: bool


def alternating(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, contenders in turn, so that a machine whose speed drifts is fair to all.

    Every contender runs once before anything is counted.
    """
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """How many times quicker than the reference: the median over rounds of its time over ours."""
    return statistics.median(theirs / ours for ours, theirs in zip(seconds, reference, strict=True))


def report(
    name: str,
    rows: Sequence[Row],
    targets: Sequence[Target],
    path: Path | None,
    shown: Sequence[str] | None = None,
) -> None:
    """Print the table, and write the report if a path is given.

    Args:
        shown: the columns printed; None: all. The report has all in any case.
    """
    console = Console()
    table = Table(title=f"benchmarks.{name}", title_justify="left")
    printed = list(shown or rows[0])
    for column in printed:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(_text(row[column]) for column in printed))
    console.print(table)
    for target in targets:
        verdict = "met" if target.met else "NOT met"
        console.print(
            f"{target.name}: {target.value:.4g} (target {target.target:.4g}): {verdict}", highlight=False
        )
    if path is not None:
        document = {
            "benchmark": name,
            "machine": machine(),
            "command": " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]]),
            "rows": [dict(row) for row in rows],
            "targets": [asdict(target) for target in targets],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")


def _text(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }
