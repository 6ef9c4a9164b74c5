"""What people and monitors see of a real generation run: while it goes on, at its end, and later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from rich.console import Console
from torch import Tensor
from typer.testing import CliRunner, Result

from softstore import Corpus, Store
from softstore import __version__ as version
from softstore.cli import build
from softstore.codecs import TopK
from softstore.commands.reporting import ProgressMode, reporting
from softstore.format import RunRecord, Skipped
from softstore.generate import generate
from softstore.metrics import serving_metrics
from softstore.progress import Standing, together
from softstore.provenance import features_fingerprint
from softstore.storage import open_storage
from softstore.writer import update_attributes
from tests.samples import LENGTHS, LinearTeacher
from tests.unit.test_metrics import free_port, scraped

FRAMES = sum(LENGTHS.values())


@dataclass
class ScrapedTeacher(LinearTeacher):
    """Has the metrics of the run scraped whenever it is asked."""

    port: int = 0
    seen: list[dict[str, float]] = field(default_factory=list)

    def log_posteriors(self, features: Tensor) -> Tensor:
        self.seen.append(scraped(self.port))
        return super().log_posteriors(features)


def test_metrics_and_json_lines_of_a_run_that_goes_on(
    tmp_path: Path, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ScrapedTeacher(port=free_port())
    told: list[Standing] = []
    with (
        serving_metrics(teacher.port) as metrics,
        reporting("Generating", Console(), mode=ProgressMode.JSON) as lines,
    ):
        summary = generate(
            corpus,
            teacher,
            open_storage(tmp_path / "store", writable=True),
            TopK(k=16),
            shard_frames=512,
            chunk_frames=64,
            progress=together(told.append, metrics, lines),
        )
        last = scraped(teacher.port)
    assert len(teacher.seen) == len(LENGTHS)
    counted = [seen["softstore_frames_total"] for seen in teacher.seen]
    assert 0 < max(counted) < FRAMES
    assert all(seen["softstore_phase[running]"] == 1 for seen in teacher.seen)
    assert all(seen["softstore_planned_frames"] == FRAMES for seen in teacher.seen)
    assert last["softstore_frames_total"] == summary.frames == FRAMES
    assert last["softstore_bytes_total"] == summary.bytes > 0
    assert last["softstore_phase[done]"] == 1

    said = capsys.readouterr()
    found = [json.loads(line) for line in said.err.splitlines()]
    assert said.out == ""
    assert [line["phase"] for line in found if line["phase"] != "running"] == ["planning", "done"]
    assert found[-1] == found[-1] | asdict(told[-1]) | {"seconds": round(told[-1].seconds, 3)}
    assert (found[-1]["utterances"], found[-1]["frames"]) == (len(LENGTHS), FRAMES)


def softstore(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(argument) for argument in arguments])


@pytest.mark.parametrize("mode", ["bar", "quiet", "json"])
def test_the_commands_keep_stdout_for_the_summary(tmp_path: Path, corpus: Corpus, mode: str) -> None:
    size = ("--codec", "topk", "--shard-frames", "512", "--chunk-frames", "64", "--progress", mode)
    teacher = ("--teacher", "tests.samples:LinearTeacher")
    first = softstore("generate", corpus.url, *teacher, "--store", tmp_path / "store", *size)
    again = softstore("recode", tmp_path / "store", tmp_path / "other", *size)
    for found in (first, again):
        assert found.exit_code == 0, found.output
        assert f"Stored {len(LENGTHS)} utterances, {FRAMES:,} frames" in found.stdout
        assert "Certificate" in found.stdout
        lines = [json.loads(line) for line in found.stderr.splitlines()]
        assert [line["phase"] for line in lines][-1:] == (["done"] if mode == "json" else [])


def test_info_shows_runs_and_where_they_come_from(store: Store, corpus: Corpus) -> None:
    said = softstore("info", store.url).output
    (run,) = store.attributes.runs
    assert store.attributes.teacher is not None
    for text in (
        "Runs",
        run.started[:10],
        f"{len(LENGTHS)} utterances",
        store.attributes.teacher.fingerprint,
        features_fingerprint(corpus.attributes.features),
        f"softstore {version}",
        "Command:  softstore.generate",
    ):
        assert text in said
    assert "under way" not in said
    assert "Skipped" not in said
    assert run.features == features_fingerprint(corpus.attributes.features)


def test_info_shows_killed_runs_and_what_was_skipped(own_store: Store) -> None:
    (run,) = own_store.attributes.runs
    killed = RunRecord(id="00", started="2026-01-02T03:04:05+00:00", user="anna", host="node[7]")
    runs = [run, *(killed.model_copy(update={"id": str(number)}) for number in range(8))]
    skipped = [Skipped(utterance_id=f"utt[{n}]", reason="It has NaN.") for n in range(30)]
    update_attributes(own_store.frames.storage, {"runs": runs, "skipped": skipped})
    said = CliRunner(env={"COLUMNS": "200"}).invoke(build(), ["info", own_store.url]).output
    assert "Runs, the last 5 of 9" in said
    assert said.count("under way or killed") == 5
    assert "anna@node[7]" in said
    assert "30 utterances" in said
    assert "utt[19]: It has NaN." in said
    assert "utt[20]" not in said
    assert "and 10 more: --json has them all" in said

    found = json.loads(softstore("info", own_store.url, "--json").output)
    assert len(found["skipped"]) == 30
    assert [record["id"] for record in found["runs"]] == [run.id, *"01234567"]
    assert found["runs"][0]["versions"]["softstore"] == version
    assert found["certificate"]["against"] == "teacher"
    assert found["track_bytes"].keys() == own_store.attributes.tracks.keys()


def test_a_shard_that_was_skipped_altogether_is_nothing_unfinished(own_store: Store) -> None:
    shards = len(own_store.manifest.shards)
    update_attributes(own_store.frames.storage, {"shards": shards + 1})
    assert "Unfinished" not in softstore("info", own_store.url).output
    (run,) = own_store.attributes.runs
    killed = run.model_copy(update={"id": "1", "finished": None})
    update_attributes(own_store.frames.storage, {"runs": [run, killed]})
    assert f"Unfinished: {shards} of {shards + 1} shards" in softstore("info", own_store.url).output
