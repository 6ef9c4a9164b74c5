"""Table 1 by one command, on a minute of speech: rows judged, reports written, nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("kaldi_decoder")

ROWS = ["DNN", "RNN-0", "RNN-T2 (soft)", "RNN-T2 (reg.)", "RNN-T2 (pretrain)"]


def test_the_table_is_made_and_not_made_twice(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "softstore", "experiment", "table1", "--out", str(tmp_path)),
        *("--profile", "tiny", "--senones", "150", "--seeds", "1", "--temperature", "2"),
    ]
    first = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    summary = json.loads((tmp_path / "table1.json").read_text())
    rows = {row["title"]: row for row in summary["rows"]}
    assert list(rows) == ROWS
    for row in rows.values():
        assert 0 < row["fa_cv"][0] < 100
        rate = row["word_error_rate"]
        assert 0 < rate["low"] <= rate["value"] <= rate["high"]
        assert row["paper"]["wer"] > 10
    # With one store, the teacher ran once for all the epochs that it taught.
    assert summary["saved"]["online_seconds"] > 10 * summary["saved"]["generation_seconds"]
    assert len(summary["statements"]) == 4
    text = (tmp_path / "table1.md").read_text()
    assert all(f"| {title} |" in text for title in ROWS)
    page = (tmp_path / "table1.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.replace("http://www.w3.org", "")

    weights = {path: path.read_bytes() for path in tmp_path.rglob("model.safetensors")}
    assert len(weights) == len(ROWS)
    (tmp_path / "table1.json").unlink()
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert all(path.read_bytes() == before for path, before in weights.items())
    assert json.loads((tmp_path / "table1.json").read_text()) == summary
