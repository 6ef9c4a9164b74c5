"""The benchmarks of what generation survives run, and find nothing lost and nothing computed twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def reported(benchmark: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--quick", "--json", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    report: dict[str, Any] = json.loads(path.read_text())
    assert [target["name"] for target in report["targets"] if not target["met"]] == []
    return report


def test_runs_that_are_killed_end_with_the_same_store(tmp_path: Path) -> None:
    for module in ("distributed", "moto"):
        pytest.importorskip(module)
    directory, s3 = reported("endurance", tmp_path / "report.json")["rows"]
    assert (directory["alone"], directory["driver"]) == (1, 1)
    assert (s3["worker"], s3["all"]) == (1, 1)
    assert s3["server restarts"] == 1


def test_a_corpus_that_grows_is_computed_once(tmp_path: Path) -> None:
    first, more, again = reported("growing", tmp_path / "report.json")["rows"]
    assert [row["stored"] for row in (first, more, again)] == [100, 10, 0]
    assert [row["there before"] for row in (first, more, again)] == [0, 100, 110]
    assert again["bytes written"] == 0
