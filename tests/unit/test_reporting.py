"""What people and logs are shown of a run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from softstore.commands.durations import duration
from softstore.commands.reporting import ProgressMode, reporting, sentence
from softstore.filling import Summary
from softstore.format import Skipped
from softstore.progress import Phase, Progress, Standing, together


def standings() -> Iterator[Standing]:
    """A run of 10 s that says something every tenth of a second."""
    yield Standing(Phase.PLANNING)
    yield Standing(Phase.FITTING, seconds=0.1)
    total: dict[str, Any] = {"total_utterances": 40, "total_frames": 8000, "total_shards": 4, "present": 7}
    for tenth in range(2, 100):
        yield Standing(
            Phase.RUNNING,
            utterances=tenth // 25 * 10,
            frames=80 * tenth,
            shards=tenth // 25,
            bytes=1_000_000 * (tenth // 25),
            workers=2,
            dashboard="http://127.0.0.1:8787/status",
            skipped=tenth // 50,
            seconds=tenth / 10,
            **total,
        )
    yield Standing(
        Phase.DONE, utterances=39, frames=7900, shards=4, bytes=4_000_000, skipped=1, seconds=10.0, **total
    )


def tell_all(progress: Progress) -> None:
    for standing in standings():
        progress(standing)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_hold_every_phase_and_end_with_the_last_standing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with reporting("Generating", Console(), mode=ProgressMode.JSON) as progress:
        tell_all(progress)
    said = capsys.readouterr()
    assert said.out == ""
    found = lines(said.err)
    *_, last = standings()
    assert {**found[-1], **asdict(last)} == found[-1]
    assert [line["phase"] for line in found[:3]] == ["planning", "fitting the codec", "running"]
    assert 12 <= len(found) <= 14
    for line in found:
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None
        assert line.keys() == {"time", "frames_per_second", "eta_seconds", *asdict(last)}
    assert found[-2]["frames_per_second"] == 800
    assert found[-2]["eta_seconds"] == pytest.approx((8000 - found[-2]["frames"]) / 800, abs=0.1)


def test_json_lines_of_a_run_that_fails_end_with_where_it_stood(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(progress: Progress) -> None:
        tell_all(progress)
        progress(Standing(Phase.RUNNING, frames=7990, seconds=10.1))
        progress(Standing(Phase.RUNNING, frames=7999, seconds=10.2))
        raise ValueError

    with (
        pytest.raises(ValueError),  # noqa: PT011
        reporting("Generating", Console(), mode=ProgressMode.JSON) as progress,
    ):
        fails(progress)
    assert lines(capsys.readouterr().err)[-1]["frames"] == 7999


def test_quiet_and_places_that_are_no_terminal_get_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in (ProgressMode.QUIET, ProgressMode.BAR):
        paper = io.StringIO()
        with reporting("Generating", Console(file=paper), mode=mode) as progress:
            tell_all(progress)
        assert paper.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_a_bar_shows_how_far_the_run_is() -> None:
    paper = io.StringIO()
    console = Console(file=paper, force_terminal=True, force_interactive=True, width=100, color_system=None)
    with reporting("Generating", console, mode=ProgressMode.BAR) as progress:
        for standing in list(standings())[:-1]:
            progress(standing)
    shown = paper.getvalue()
    last = shown[shown.rindex("Generating") :]
    for text in (
        "7920/8000",
        "800/s",
        "0 s left",
        "3/4 shards",
        "3.0 MB",
        "2 workers",
        "1 skipped",
        ":8787/status",
    ):
        assert text in last
    for row in last.splitlines():
        assert len(row) < 130


def test_all_of_several_are_told() -> None:
    first: list[Standing] = []
    second: list[Standing] = []
    tell_all(together(first.append, second.append))
    assert first == second == list(standings())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (225, "3:45 min"), (61_500, "17:05 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


DONE = Summary(utterances=1234, frames=500_000, shards=16, bytes=32_500_000, seconds=100.0)


def skipped(count: int) -> list[Skipped]:
    return [Skipped(utterance_id=f"utt[{n}]", reason=f"It is broken,\nin frame {n}.") for n in range(count)]


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(present=294), "Nothing to do: all 294 utterances are stored already."),
        (
            DONE,
            "Stored 1,234 utterances, 500,000 frames, 16 shards, 32.5 MB in 100.0 s (5,000 frames/s).",
        ),
        (
            replace(DONE, present=3, elsewhere=5),
            "3 were there before. 5 were stored meanwhile by others.",
        ),
        (
            Summary(utterances=1, frames=1, shards=1, seconds=1),
            "Stored 1 utterance, 1 frame, 1 shard, 0 bytes",
        ),
        (
            Summary(present=2, elsewhere=9),
            "Stored nothing: 2 utterances were there before. 9 were stored meanwhile by others.",
        ),
        (replace(DONE, skipped=skipped(1)), "Skipped 1 utterance"),
        (replace(DONE, skipped=skipped(1)), "utt[0]: It is broken, in frame 0."),
        (replace(DONE, skipped=skipped(1020)), "and 1,000 more: see `softstore info`"),
        (Summary(skipped=skipped(20)), "utt[19]: It is broken"),
    ],
)
def test_sentences(summary: Summary, text: str) -> None:
    console = Console(file=io.StringIO(), width=500)
    console.print(sentence(summary), highlight=False)
    assert isinstance(console.file, io.StringIO)
    assert text in console.file.getvalue()


def test_twenty_skipped_are_named_and_no_more() -> None:
    assert sentence(Summary(skipped=skipped(20))).count("It is broken") == 20
    assert " more" not in sentence(Summary(skipped=skipped(20))).partition("once more")[2]
    assert sentence(Summary(skipped=skipped(21))).count("It is broken") == 20
