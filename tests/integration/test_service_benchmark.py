"""The benchmark of the service runs, and reports what its issue asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk, which Debian has as a package")
def test_the_quick_run_compares_every_answer(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.service", "--quick", "--json", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    report = json.loads(path.read_text())
    assert report["benchmark"] == "service"
    rows = {(row["codec"], row["answer"]): row for row in report["rows"]}
    answers = ("raw object", "encoded batch", "batch", "npy", "npy float16", "Arrow", "JSON, top 10", "JSON")
    assert set(rows) == {(codec, answer) for codec in ("transform", "float32") for answer in answers} | {
        ("float32", "whole shard")
    }
    for row in rows.values():
        assert row["requests/s"] > 0
        assert row["p50 ms"] <= row["p99 ms"]
    # Everything ready was compared with as many bytes that are ready, everything softened with softening.
    assert all(rows["transform", answer]["% of bare"] > 0 for answer in answers[:2])
    assert all(rows["transform", answer]["times softening"] > 0 for answer in answers[2:])
    assert len(report["targets"]) == 6
