"""The README's pictures of the page, taken when asked for:

SOFTSTORE_PICTURES=FOLDER pytest tests/e2e/test_page_pictures.py

FOLDER holds two stores of one corpus, such as ``demo`` and ``demo-top64``, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

import softstore
from tests.e2e.looking import NARROW, WIDE, Browser, looking
from tests.service import serving

FOLDER = os.environ.get("SOFTSTORE_PICTURES")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 300_000

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="pictures are taken only with SOFTSTORE_PICTURES=FOLDER"
)


@pytest.fixture(scope="module")
def stores() -> dict[str, Path]:
    return {path.name: path for path in sorted(Path(FOLDER or ".").iterdir())}


@pytest.fixture(scope="module")
def origin(stores: dict[str, Path]) -> Iterator[str]:
    with serving(stores) as client:
        yield str(client.base_url).rstrip("/")


@pytest.mark.parametrize(
    ("name", "scheme", "size", "comparing"),
    [("light", "light", WIDE, False), ("dark", "dark", WIDE, True), ("narrow", "dark", NARROW, False)],
)
def test_take_picture(
    browser: Browser,
    origin: str,
    stores: dict[str, Path],
    name: str,
    scheme: Literal["light", "dark"],
    size: tuple[int, int],
    comparing: bool,
) -> None:
    store, other = stores
    rows = softstore.open(stores[store]).manifest.where(split="cv").to_pylist()
    utterance = min((row["entropy"], row["utterance_id"]) for row in rows if row["num_frames"] < 400)[1]
    path = IMAGES / f"page-{name}.png"
    query = {"store": store, "utterance": utterance, "split": "cv", "T": 2, "frame": 120}
    query |= {"order": "time", "labels": 1}
    if comparing:
        query["other"] = other
    with looking(browser, origin, size=size, scheme=scheme) as tab:
        tab.open(**query)
        tab.page.screenshot(path=path)
    assert path.stat().st_size < MOST_BYTES
