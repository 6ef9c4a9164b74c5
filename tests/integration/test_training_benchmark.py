"""The benchmark of training runs, and reports what its issue asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.distilled import distilled
from benchmarks.online_teacher import SPLICED, OnlineExamples
from benchmarks.training import CONTENDERS
from softstore.teacher import load_teacher
from trainer.checkpoint import load_model
from trainer.examples import open_examples
from trainer.models import DNN


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


def test_the_quick_run_has_every_source_of_targets(work: Path) -> None:
    path = work / "report.json"
    command = [sys.executable, "-m", "benchmarks.training", "--quick", "--json", str(path)]
    subprocess.run([*command, "--work", str(work)], check=True, capture_output=True, timeout=300)
    report = json.loads(path.read_text())
    assert report["benchmark"] == "training"
    rows = {row["targets"]: row for row in report["rows"]}
    assert list(rows) == list(CONTENDERS)
    for row in rows.values():
        assert row["frames/s"] > 0
        assert 0 <= row["data wait %"] <= 100
        assert row["memory MB"] > 0
    # What is compared is told by name: hard labels have the cheaper loss.
    assert [target["name"] for target in report["targets"]] == [
        "small, (c) soft, store, times (a)",
        "small, (c) soft, store, times (a')",
        "small, (c) soft, store, data wait %",
        "small, (d) soft, service, times (a)",
        "small, (d) soft, service, times (a')",
        "small, (d) soft, service, data wait %",
    ]


def test_the_online_teacher_says_what_the_teacher_says(work: Path) -> None:
    material = distilled(work, quick=True)
    model = load_model(material.teacher).model
    assert isinstance(model, DNN)
    examples = OnlineExamples(open_examples(material.store).frames, model)
    example = next(examples.in_order("cv", targets=True))
    assert example.encoded.keys() == {SPLICED}
    encoded = {SPLICED: torch.from_numpy(example.encoded[SPLICED])}
    softener = examples.softener(encoded, torch.arange(len(example)))
    assert softener is not None
    expected = load_teacher(material.teacher).log_posteriors(example.features)
    assert softener(1.0).sub(expected).abs().max() < 1e-4
    assert softener.span(3, 8)(1.0).equal(softener(1.0)[3:8])
