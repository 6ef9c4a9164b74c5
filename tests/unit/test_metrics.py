"""Metrics of a run, scraped over loopback as Prometheus does."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from softstore.errors import InvalidInputError, MissingDependencyError
from softstore.metrics import serving_metrics
from softstore.progress import Phase, Standing


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_served_is_what_was_told_last() -> None:
    port = free_port()
    with serving_metrics(port) as progress:
        assert scraped(port)["softstore_phase[planning]"] == 1
        progress(Standing(Phase.RUNNING, frames=10, total_frames=100, seconds=0.5))
        standing = Standing(
            Phase.RUNNING,
            utterances=3,
            frames=1000,
            shards=2,
            total_utterances=30,
            total_frames=10_000,
            total_shards=20,
            present=4,
            skipped=1,
            bytes=123_456,
            workers=8,
            seconds=1.5,
        )
        progress(standing)
        assert scraped(port) == {
            "softstore_utterances_total": 3,
            "softstore_frames_total": 1000,
            "softstore_shards_total": 2,
            "softstore_bytes_total": 123_456,
            "softstore_skipped_utterances_total": 1,
            "softstore_planned_utterances": 30,
            "softstore_planned_frames": 10_000,
            "softstore_planned_shards": 20,
            "softstore_present_utterances": 4,
            "softstore_workers": 8,
            "softstore_run_seconds": 1.5,
            "softstore_phase[planning]": 0,
            "softstore_phase[fitting the codec]": 0,
            "softstore_phase[running]": 1,
            "softstore_phase[done]": 0,
        }
    with pytest.raises(urllib.error.URLError):
        scraped(port)


def test_without_a_port_nothing_is_served() -> None:
    with serving_metrics(None) as progress:
        progress(Standing(Phase.RUNNING))


def test_a_port_in_use_is_one_sentence_and_the_next_run_can_have_it() -> None:
    port = free_port()
    with (
        serving_metrics(port),
        pytest.raises(InvalidInputError, match=rf"127\.0\.0\.1:{port}: .*in use\. Choose another"),
        serving_metrics(port),
    ):
        pass
    with serving_metrics(port):
        assert scraped(port)["softstore_frames_total"] == 0


def test_two_runs_in_one_process_do_not_mix() -> None:
    first, second = free_port(), free_port()
    with serving_metrics(first) as one, serving_metrics(second) as other:
        one(Standing(Phase.RUNNING, frames=1))
        other(Standing(Phase.RUNNING, frames=2))
        assert scraped(first)["softstore_frames_total"] == 1
        assert scraped(second)["softstore_frames_total"] == 2


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(MissingDependencyError, match=r"pip install 'softstore\[metrics\]'"),
        serving_metrics(free_port()),
    ):
        pass
