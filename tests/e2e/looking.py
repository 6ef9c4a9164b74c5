"""A real browser that looks at the page, and holds what happened there against what should."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, Response, Route, expect, sync_playwright

__all__ = ["NARROW", "WIDE", "Browser", "Looking", "Route", "chromium", "expect", "looking"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE = (1440, 900)
NARROW = (390, 844)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium on the path; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"there is no Chromium on the PATH ({', '.join(NAMES)})")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Looking:
    """One tab. Console errors and requests to other hosts are gathered; `unexpected` is held to be empty."""

    page: Page
    origin: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("response", self._response)

    def _console(self, kind: str, text: str) -> None:
        # A refusal is gathered with its status and URL.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.errors.append(text)

    def _request(self, url: str) -> None:
        if not url.startswith(self.origin + "/"):
            self.elsewhere.append(url)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append((response.status, urlsplit(response.url).path))

    def open(self, **query: object) -> None:
        """Go to the page with this query, and wait until all is loaded and painted."""
        self.page.goto(f"{self.origin}/?{urlencode(query)}")
        self.settle()

    def settle(self) -> None:
        expect(self.page.locator("#main")).to_have_attribute("data-state", "ready")
        expect(self.page.locator("#progress")).to_have_text("", timeout=60_000)
        expect(self.page.locator("#plot")).to_have_attribute("data-exact", "true", timeout=30_000)
        expect(self.page.locator("#top tbody tr").first).to_be_visible()

    def soften(self, temperature: float) -> None:
        """Move the slider, as a hand would, and wait for the picture and the numbers."""
        self.page.locator("#temperature").evaluate(
            "(slider, T) => { slider.value = Math.log2(T);"
            " slider.dispatchEvent(new Event('input', { bubbles: true })) }",
            temperature,
        )
        self.at(temperature)

    def at(self, temperature: float) -> None:
        """Wait until the picture and the numbers are those of this temperature."""
        plot = self.page.locator("#plot")
        expect(plot).to_have_attribute("data-temperature", f"{temperature:g}")
        expect(plot).to_have_attribute("data-exact", "true", timeout=30_000)
        frame = plot.get_attribute("aria-valuenow")
        expect(plot).to_have_attribute("data-inspected", f"{frame} {round(temperature, 2):g}")

    def senones(self) -> list[int]:
        """The senones of the table, the first one first."""
        cells = self.page.locator("#top tbody th").all()
        return [int(cell.get_attribute("data-senone") or "") for cell in cells]

    def posteriors(self, store: int = 0) -> list[float]:
        """Their posteriors in the first (0) or second (1) store."""
        cells = self.page.locator(f"#top tbody td:nth-child({store + 2}) data").all()
        return [float(cell.get_attribute("value") or "") for cell in cells]

    def stat(self, name: str, store: int = 0) -> float:
        cell = self.page.locator(f"#stats [data-stat={name}]").nth(store)
        return float(cell.get_attribute("value") or "")

    def rows(self) -> list[int]:
        """The senones of the posteriorgram's rows, as far as there is room for their names."""
        names = self.page.locator(".picture").first.locator(".names text")
        return [int(name) for name in names.all_text_contents()]

    def pixels(self, picture: int = 0) -> list[list[int]]:
        """Brightness (0 … 765) of the posteriorgram, row by row."""
        found: list[list[int]] = (
            self.page.locator(".picture canvas")
            .nth(picture)
            .evaluate(
                "canvas => { const { width, height } = canvas;"
                " const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);"
                " return Array.from({ length: height }, (_, y) => Array.from({ length: width },"
                " (_, x) => [0, 1, 2].reduce((sum, k) => sum + data[4 * (y * width + x) + k], 0))) }"
            )
        )
        return found

    def style(self, selector: str, name: str) -> str:
        found: str = self.page.locator(selector).first.evaluate(
            "(element, name) => getComputedStyle(element).getPropertyValue(name)", name
        )
        return found

    @property
    def query(self) -> str:
        return urlsplit(self.page.url).query


@contextmanager
def looking(
    browser: Browser,
    origin: str,
    *,
    size: tuple[int, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
    refused: Mapping[str, int] | None = None,
    **context: Any,
) -> Iterator[Looking]:
    """A tab of its own. When it is closed nothing may have gone wrong in it.

    Args:
        refused: how ends of paths may have been refused, and with which status.
    """
    opened = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, **context
    )
    try:
        page = opened.new_page()
        tab = Looking(page, origin)
        yield tab
        assert tab.errors == []
        assert tab.elsewhere == []
        allowed = dict(refused or {})
        for status, path in tab.refused:
            assert any(path.endswith(end) and status == code for end, code in allowed.items()), (status, path)
    finally:
        opened.close()
