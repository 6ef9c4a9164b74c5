"""An utterance of 20,000 frames: what a look costs is bounded by what can be seen of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import softstore
from softstore.codecs import Float16
from tests.e2e.looking import Browser, Looking, expect, looking
from tests.service import serving

FRAMES = 20_000
CLASSES = 160


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> softstore.Store:
    path = tmp_path_factory.mktemp("long") / "store"
    logits = 4 * np.random.default_rng(0).normal(size=(FRAMES, CLASSES)).astype(np.float32)
    with softstore.create(path, class_count=CLASSES, teacher="random", codec=Float16()) as recorder:
        recorder.add("long", logits, speaker="nobody", split="train", text="on and on")
    return softstore.open(path)


@pytest.fixture(scope="module")
def long_origin(store: softstore.Store) -> Iterator[str]:
    with serving({"long": Path(store.url)}) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def long_tab(browser: Browser, long_origin: str) -> Iterator[Looking]:
    with looking(browser, long_origin) as tab:
        tab.open(store="long", utterance="long", rows=16)
        yield tab


def _number(tab: Looking, name: str) -> int:
    return int(tab.page.locator("#plot").get_attribute(f"data-{name}") or "")


def test_a_move_of_the_slider_softens_a_frame_for_each_column(long_tab: Looking) -> None:
    before = long_tab.pixels()

    long_tab.soften(4)

    columns = _number(long_tab, "columns")
    assert 500 < columns <= 1440
    assert _number(long_tab, "drafted") == columns
    assert _number(long_tab, "computed") == columns + FRAMES
    after = long_tab.pixels()
    assert len(after[0]) == columns
    changed = np.mean(np.array(before) != np.array(after))
    assert changed > 0.9


def test_a_hand_that_is_faster_than_the_worker_builds_no_queue(long_tab: Looking) -> None:
    drafts = _number(long_tab, "drafts")

    long_tab.page.locator("#temperature").evaluate(
        "(slider) => { for (let i = 0; i <= 500; i++) { slider.value = -1 + i / 100;"
        " slider.dispatchEvent(new Event('input', { bubbles: true })) } }"
    )

    long_tab.at(16)
    assert _number(long_tab, "drafts") - drafts <= 2


def test_means_of_columns_are_exact(long_tab: Looking, store: softstore.Store) -> None:
    long_tab.soften(2)

    columns = _number(long_tab, "columns")
    rows = long_tab.rows()
    posteriors = store["long"].posteriors(2.0)[:, rows]
    edges = np.floor(np.arange(columns + 1) * (FRAMES / columns) + 1e-9).astype(int)
    means = np.stack([posteriors[a:b].mean(axis=0) for a, b in pairwise(edges)], axis=1)
    brightness = np.array(long_tab.pixels())
    assert np.corrcoef(np.log10(means).ravel(), brightness.ravel())[0, 1] < -0.99


def test_zoomed_in_only_what_is_in_view_is_softened(long_tab: Looking, store: softstore.Store) -> None:
    long_tab.open(store="long", utterance="long", rows=16, **{"from": 15_000, "to": 15_300, "frame": 15_100})

    long_tab.soften(2)

    assert _number(long_tab, "columns") == 300
    assert _number(long_tab, "computed") == 300
    expected = store["long"].posteriors(2.0, 15_100, 15_101)[0]
    assert long_tab.posteriors() == pytest.approx(expected[long_tab.senones()], rel=0.01)
    expect(long_tab.page.locator("#window")).to_be_visible()


def test_what_is_in_view_comes_first(browser: Browser, long_origin: str) -> None:
    with looking(browser, long_origin) as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.open(store="long", utterance="long", **{"from": 15_000, "to": 15_300})
        starts = [int(url.split("start=")[1].split("&")[0]) for url in asked if "/posteriors" in url]
        assert len(starts) == -(-FRAMES // 512)
        assert starts[0] <= 15_150 < starts[0] + 512
