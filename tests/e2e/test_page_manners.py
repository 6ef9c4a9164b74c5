"""How the page behaves: colours, screens, errors, and what it is made of."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import pytest

from softstore import Store
from tests.e2e.looking import NARROW, Browser, Looking, expect, looking
from tests.service import serving

UTTERANCE = "b"


def test_light_dark_and_a_choice_that_stays(browser: Browser, origin: str) -> None:
    with looking(browser, origin, scheme="dark") as tab:
        tab.open(store="dense", utterance=UTTERANCE)
        dark, pixels = tab.style("body", "background-color"), tab.pixels()
        tab.page.locator("#theme").click()
        light = tab.style("body", "background-color")
        assert light != dark
        assert tab.pixels() != pixels
        tab.page.reload()
        tab.settle()
        assert tab.style("body", "background-color") == light


def test_what_is_in_view_as_a_command(browser: Browser, origin: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with looking(browser, origin, permissions=permissions) as tab:
        tab.open(store="dense", utterance="e/with slash", T=2, **{"from": 10, "to": 40})
        tab.page.locator("#copy-curl").click()
        expect(tab.page.locator("#toast")).to_have_text("Command copied")
        command = tab.page.evaluate("() => navigator.clipboard.readText()")
        assert command == (
            "curl -H 'Accept: application/x-npy' -o posteriors.npy "
            f"'{origin}/v1/stores/dense/utterances/e%2Fwith%20slash/posteriors?temperature=2&start=10&stop=40'"
        )


def test_what_is_wrong_is_said(browser: Browser, origin: str) -> None:
    with looking(browser, origin, refused={"/nobody": 404}) as tab:
        tab.page.goto(f"{origin}/?store=dense&utterance=nobody")
        expect(tab.page.locator("#main")).to_have_attribute("data-state", "error")
        expect(tab.page.get_by_role("alert")).to_contain_text("has no utterance 'nobody'")
        tab.page.locator("#utterances a").first.click()
        tab.settle()


def test_a_narrow_screen(browser: Browser, origin: str) -> None:
    with looking(browser, origin, size=NARROW) as tab:
        tab.open(store="dense", other="short", utterance=UTTERANCE)
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= NARROW[0]
        expect(tab.page.locator("#browser")).to_be_hidden()
        tab.page.locator("#browse").click()
        tab.page.locator("#utterances a").nth(2).click()
        expect(tab.page.locator("#facts .id")).to_have_text("c")
        expect(tab.page.locator("#browser")).to_be_hidden()


def test_nothing_moves_for_those_who_asked(browser: Browser, origin: str) -> None:
    with looking(browser, origin, reduced_motion="reduce") as tab:
        tab.open(store="dense", utterance=UTTERANCE)
        assert tab.style(".button", "transition-duration") == "0s"


def test_the_files_are_revalidated_and_confined(stores: dict[str, Store]) -> None:
    with serving({"dense": stores["dense"].url}) as client:
        first = client.get("/")
        assert first.headers["content-type"] == "text/html; charset=utf-8"
        policy = first.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert client.get("/", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        assert client.head("/page/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
        for path in (
            "../app.py",
            "%2e%2e/app.py",
            "..%2fapp.py",
            "/etc/passwd",
            "nothing.js",
            "app.js%00",
            "",
        ):
            answer = client.get(f"/page/{path}")
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/problem+json"


def test_everything_has_a_name_and_a_role(tab: Looking) -> None:
    tab.open(store="dense", other="short", utterance=UTTERANCE)
    page = tab.page

    for role in ("banner", "main", "navigation", "search", "complementary"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("slider", name="Temperature")).to_be_visible()
    expect(page.get_by_role("slider", name="Frame")).to_be_visible()
    expect(page.get_by_role("combobox", name="Compare with")).to_be_visible()
    expect(page.get_by_role("table", name="Most probable senones")).to_be_visible()
    nameless = page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, a')].filter((e) => e.checkVisibility()"
        " && !(e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim() || e.textContent.trim()))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert page.locator("[tabindex]:not([tabindex='0'])").count() == 0
    assert page.locator("script:not([src]), style, [onclick]").count() == 0


def test_whoever_tabs_sees_where_they_are(tab: Looking) -> None:
    tab.open(store="dense", utterance=UTTERANCE)
    reached = set()
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        reached.add(tab.page.evaluate("() => document.activeElement.id || document.activeElement.localName"))
        if tab.page.evaluate("() => document.activeElement !== document.body"):
            assert tab.style(":focus", "outline-style") != "none"
    assert {"store", "other", "theme", "help", "q", "split", "speaker", "a"} <= reached
    assert {"temperature", "rows", "order", "labels", "zoom-in", "plot", "copy-link", "copy-curl"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, origin: str, scheme: Literal["light", "dark"]) -> None:
    with looking(browser, origin, scheme=scheme) as tab:
        tab.open(store="dense", other="short", utterance=UTTERANCE)
        paper = _luminance(tab.style("body", "background-color"))
        texts = (
            ".brand",
            "#total",
            "#text",
            "#facts",
            ".facts .key",
            ".octaves",
            ".choice span",
            "#stats dt",
        )
        for text in texts:
            ink = _luminance(tab.style(text, "color"))
            contrast = (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05)
            assert contrast >= 4.5, (text, contrast)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_rise_in_even_steps(browser: Browser, origin: str, scheme: Literal["light", "dark"]) -> None:
    with looking(browser, origin, scheme=scheme) as tab:
        tab.open(store="dense", utterance=UTTERANCE)
        colours = tab.page.locator("#scale").evaluate(
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, 256, 1).data]"
        )
        pixels = np.array(colours).reshape(256, 4)[:, :3]
        # CIE lightness of every 16th colour; the map itself is even in OKLab's.
        lightness = [116 * np.cbrt(_luminance_of(*pixel)) - 16 for pixel in pixels[::15]]
        steps = np.diff(lightness) * (1 if scheme == "dark" else -1)
        assert steps.min() > 0.5 * steps.mean()
        assert steps.max() < 1.6 * steps.mean()


def _luminance(colour: str) -> float:
    """Of a computed colour such as ``rgb(17, 18, 26)``."""
    red, green, blue = (float(value) for value in re.findall(r"[\d.]+", colour)[:3])
    return _luminance_of(red, green, blue)


def _luminance_of(red: float, green: float, blue: float) -> float:
    """Relative luminance (WCAG 2.2) of sRGB, 0 … 255."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (red / 255, green / 255, blue / 255)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
