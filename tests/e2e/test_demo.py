"""The whole journey, small: what `make demo` runs, on a minute of speech."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import softstore
from softstore import Corpus

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the demo left everything, and what it said."""
    out = tmp_path_factory.mktemp("demo") / "run"
    command = [
        sys.executable,
        "-m",
        "softstore",
        "demo",
        "--profile",
        "tiny",
        "--senones",
        "150",
        "--out",
        str(out),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return out, finished.stdout


def test_everything_is_where_it_should_be(journey: tuple[Path, str]) -> None:
    out, _ = journey
    assert len(Corpus.open(out / "corpus")) == len(softstore.open(out / "store"))
    for model in ("teacher", "students/rnn-0", "students/rnn-t2-soft", "students/rnn-t2-pretrain"):
        assert (out / model / "model.safetensors").stat().st_size > 0


def test_the_summary_has_the_table_the_service_and_the_certificate(journey: tuple[Path, str]) -> None:
    out, _ = journey
    summary = json.loads((out / "summary.json").read_text())
    rows = {row["title"]: row for row in summary["table"]}
    assert list(rows) == ["DNN", "RNN-0", "RNN-T2 (soft)", "RNN-T2 (pretrain)"]
    # Chance is below one per cent.
    assert all(row["fa_train"] > 3 for row in rows.values())
    entropies = [answer["mean_entropy"] for answer in summary["service"]]
    assert entropies == sorted(entropies)
    assert [row["temperature"] for row in summary["store"]["certificate"]["kl"]] == [1.0, 2.0, 4.0, 8.0]


def test_the_students_learned_over_http(journey: tuple[Path, str]) -> None:
    out, said = journey
    assert (
        len(re.findall(r"softstore train --store http://127\.0\.0\.1:\d+/v1/stores/demo/objects", said)) == 3
    )
    assert json.loads((out / "summary.json").read_text())["commands"][0].startswith("corpus make synthetic")


def test_the_report_is_self_contained(journey: tuple[Path, str]) -> None:
    out, _ = journey
    report = (out / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 3
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", report)
