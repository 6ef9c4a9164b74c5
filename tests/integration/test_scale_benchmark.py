"""The benchmark of scale runs, and reports what its issue asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_quick_run_measures_two_sizes_and_extrapolates(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.scale",
        "--quick",
        "--work",
        str(tmp_path),
        "--json",
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]
    report = json.loads(path.read_text())
    assert report["benchmark"] == "scale"
    measured = [row for row in report["rows"] if row["row"] == "measured"]
    assert [row["open requests"] for row in measured] == [1, 1]
    assert [row["requests"] <= 2 for row in measured] == [True, True]
    assert measured[0]["manifest MB"] < measured[1]["manifest MB"]
    assert [row["hours"] for row in report["rows"] if row["row"] == "extrapolated"] == [1e3, 1e5, 1e7]
    assert {"opening, s", "look-up, ms, median", "planning, s", "planning, MB"} <= {
        target["name"] for target in report["targets"]
    }
