"""`benchmarks.codecs`, on a corpus of a minute: who is in the report, and what the bytes give back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.codecs import TEMPERATURES, contenders, main
from benchmarks.coding import main as coding
from benchmarks.contenders import Ours
from benchmarks.posteriors import prepare


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def report(work: Path) -> dict[str, Any]:
    path = work / "report.json"
    main(json=path, quick=True, work=work, plot=work / "plot.svg")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_report_has_a_row_for_everybody(report: dict[str, Any], work: Path) -> None:
    assert report.keys() == {"benchmark", "machine", "command", "rows", "targets"}
    sample = prepare(work, quick=True).sample
    rows = {row["contender"]: row for row in report["rows"]}
    assert rows.keys() == {contender.name for contender in contenders(sample)}
    assert {"float32", "topk, k = 64", "Megatron top-128, fp16", "FKD top-5, fp16 + zstd"} <= rows.keys()
    for row in rows.values():
        for temperature in TEMPERATURES:
            mean, high, worst = (row[f"{what} KL T={temperature:g}"] for what in ("mean", "p99.9", "max"))
            assert 0 <= mean <= worst
            assert high <= worst < 1
        assert row["bytes/frame"] > 0
        assert row["encoded frames/s"] > 0
        assert row["decoded frames/s"] > 0
    assert {target["name"].partition(",")[0] for target in report["targets"]} >= {"transform"}
    assert all(target.keys() == {"name", "value", "target", "met"} for target in report["targets"])


def test_dense_layouts_lose_little_and_top_k_layouts_more(report: dict[str, Any], work: Path) -> None:
    rows = {row["contender"]: row for row in report["rows"]}
    assert rows["float32"]["max KL T=2"] < 1e-6
    assert rows["float16"]["max KL T=2"] < 1e-4
    assert rows["uint8"]["max KL T=2"] < 1e-3
    for name in ("Kaldi, one byte", "Kaldi, two bytes", "lilcom, steps of 2^-5"):
        assert rows[name]["max KL T=2"] < 1e-3
        assert rows[name]["mean KL T=2"] < rows["TinyViT top-100, fp16"]["mean KL T=2"]
    by_k = [rows[f"topk, k = {k}"] for k in (16, 64, 128)]
    assert [row["mean KL T=2"] for row in by_k] == sorted((row["mean KL T=2"] for row in by_k), reverse=True)
    assert [row["bytes/frame"] for row in by_k] == sorted(row["bytes/frame"] for row in by_k)


def test_layouts_take_the_bytes_their_descriptions_say(report: dict[str, Any], work: Path) -> None:
    classes = prepare(work, quick=True).held_out.class_count
    rows = {row["contender"]: row for row in report["rows"]}
    assert rows["FKD top-5, fp16"]["bytes/frame"] == 5 * (2 + 2)
    assert rows["TinyViT top-100, fp16"]["bytes/frame"] == 100 * (2 + 2)
    id_bits = (classes - 1).bit_length()
    assert rows["DistillKit, recommended"]["bytes/frame"] == 16 * 2 + 6 * 4 + 128 * id_bits // 8
    assert classes <= rows["Kaldi, one byte"]["bytes/frame"] < classes + 1
    assert 2 * classes <= rows["Kaldi, two bytes"]["bytes/frame"] < 2 * classes + 1


def test_the_plot_and_a_second_run_use_what_is_there(report: dict[str, Any], work: Path) -> None:
    assert b"<svg" in (work / "plot.svg").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (work / "quick").rglob("*") if path.is_file()}
    posteriors = prepare(work, quick=True)
    assert before == {path: path.stat().st_mtime_ns for path in (work / "quick").rglob("*") if path.is_file()}
    assert sum(posteriors.held_out.lengths) == posteriors.held_out.frames
    assert posteriors.held_out[0].exp().sum(dim=-1).sub(1).abs().max() < 1e-4
    assert any(isinstance(contender, Ours) for contender in contenders(posteriors.sample))


def test_coders_are_compared_on_the_same_coefficients(work: Path) -> None:
    prepare(work, quick=True)
    path = work / "coding.json"
    coding(json=path, quick=True, work=work)
    rows = {row["coder"]: row for row in json.loads(path.read_text())["rows"]}
    assert {"codebooks, zstd", "pcodec", "entropy of columns"} <= rows.keys()
    assert all(row["bytes/frame"] > 0 for row in rows.values())
