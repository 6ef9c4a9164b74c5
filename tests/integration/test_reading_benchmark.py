"""The reading benchmark runs, and reports what its issue asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_quick_run_compares_all_contenders_and_counts_requests(tmp_path: Path) -> None:
    for module in ("h5py", "lilcom", "moto", "tensorstore", "zarrs"):
        pytest.importorskip(module)
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.reading", "--quick", "--json", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    report = json.loads(path.read_text())
    assert report["benchmark"] == "reading"
    assert {row["contender"] for row in report["rows"] if row["storage"] == "local"} == {
        "softstore",
        "zarr-python",
        "tensorstore",
        "zarrs",
        "numpy memmap",
        "HDF5 + gzip",
        "lilcom",
    }
    assert [t["name"] for t in report["targets"]][:2] == [
        "random spans, times zarr-python",
        "random spans, times tensorstore",
    ]
    ours = [row for row in report["rows"] if (row["storage"], row["contender"]) == ("S3", "softstore")]
    assert [row["requests/span/array"] for row in ours] == [1, 1]
