"""The page at /, in a real Chromium, against softstore's own numbers."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from softstore import Store
from softstore.softening import entropy, kl_divergence
from tests.e2e.looking import Looking, expect
from tests.samples import LENGTHS

UTTERANCE = "b"
FRAME = 120

# log p travels as float16: 2 ** -11 of up to 20 nats.
CLOSE = 0.011


def test_the_first_visit_shows_the_first_utterance(tab: Looking) -> None:
    tab.open()

    assert "store=dense" in tab.query
    assert f"utterance={next(iter(LENGTHS))}" in tab.query
    expect(tab.page.locator("#text")).to_have_text("the quick brown fox")
    expect(tab.page.locator("#total")).to_have_text(f"{len(LENGTHS)} utterances")


def test_the_slider_re_softens_in_the_browser(tab: Looking, stores: dict[str, Store]) -> None:
    tab.open(store="dense", utterance=UTTERANCE, frame=FRAME)
    requests: list[str] = []
    tab.page.on("request", lambda request: requests.append(request.url))
    pictures = []

    for temperature in (1.0, 2.0, 0.5, 16.0):
        tab.soften(temperature)

        expected = stores["dense"][UTTERANCE].posteriors(temperature, FRAME, FRAME + 1)[0]
        assert tab.posteriors() == pytest.approx(expected[tab.senones()], rel=CLOSE / temperature)
        assert tab.posteriors()[0] == pytest.approx(expected.max(), rel=CLOSE / temperature)
        assert tab.stat("dark") == pytest.approx(1 - expected.max(), rel=0.01, abs=1e-4)
        assert tab.stat("entropy") == pytest.approx(
            float(entropy(torch.from_numpy(expected).log())), abs=0.01
        )
        pictures.append(tab.pixels())
    assert not any("/v1/" in url for url in requests)
    assert all(a != b for a, b in pairwise(pictures))


def test_the_picture_is_what_the_numbers_say(tab: Looking, stores: dict[str, Store]) -> None:
    tab.open(store="dense", utterance=UTTERANCE, T=2, rows=16)
    rows = tab.rows()
    posteriors = stores["dense"][UTTERANCE].posteriors(2.0)

    mass = stores["dense"][UTTERANCE].posteriors(1.0).sum(axis=0)
    assert rows == list(np.argsort(-mass)[:16])
    brightness = np.array(tab.pixels())
    assert brightness.shape == (16, LENGTHS[UTTERANCE])
    # Light paper, dark ink: the higher the posterior, the darker.
    shown = posteriors[:, rows].T
    assert (brightness.argmin(axis=0) == shown.argmax(axis=0)).mean() > 0.98
    assert np.corrcoef(np.log(shown[shown > 1e-4]), brightness[shown > 1e-4])[0, 1] < -0.95


def test_two_stores_and_their_divergence(tab: Looking, stores: dict[str, Store]) -> None:
    tab.open(store="dense", other="short", utterance=UTTERANCE, frame=FRAME, T=2)

    p, q = (torch.from_numpy(stores[name][UTTERANCE].log_posteriors(2.0)) for name in ("dense", "short"))
    expected = kl_divergence(p, q)
    assert tab.stat("divergence") == pytest.approx(float(expected[FRAME]), rel=0.01, abs=1e-3)
    assert tab.posteriors(1) == pytest.approx(q[FRAME].exp().numpy()[tab.senones()], rel=CLOSE)
    assert tab.pixels(0) != tab.pixels(1)
    expect(tab.page.locator("#divergence")).to_be_visible()

    # A truncated codec knows its tail at every T: the page must not guess it from T = 1.
    tab.soften(4)
    expect(tab.page.locator("#progress")).to_have_text("")
    p, q = (torch.from_numpy(stores[name][UTTERANCE].log_posteriors(4.0)) for name in ("dense", "short"))
    tab.at(4)
    assert tab.stat("divergence") == pytest.approx(float(kl_divergence(p, q)[FRAME]), rel=0.01, abs=1e-3)

    tab.page.locator("#other").select_option("")
    tab.settle()
    expect(tab.page.locator("#divergence")).to_be_hidden()


def test_the_keyboard_is_enough(tab: Looking) -> None:
    tab.open(store="dense", utterance=UTTERANCE)
    plot, press = tab.page.locator("#plot"), tab.page.keyboard.press
    plot.focus()

    for key, frame in (
        ("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("End", 299), ("Home", 0),
    ):  # fmt: skip
        press(key)
        expect(plot).to_have_attribute("aria-valuenow", str(frame))
    press("]")
    tab.at(round(2 ** (1 / 8), 5))
    press("4")
    tab.at(4)
    press("[")
    tab.at(round(2 ** (15 / 8), 5))
    press("+")
    expect(plot).to_have_attribute("data-columns", "150")
    press("PageDown")
    expect(plot).to_have_attribute("aria-valuenow", "150")
    press("0")
    expect(plot).to_have_attribute("data-columns", "300")
    expect(tab.page.locator("#live")).to_contain_text("Frame 150, 1.50 s:")

    press("j")
    expect(tab.page.locator("#facts .id")).to_have_text("c")
    press("k")
    expect(tab.page.locator("#facts .id")).to_have_text("b")
    press("?")
    expect(tab.page.locator("#help-dialog")).to_be_visible()
    press("Escape")
    expect(tab.page.locator("#help-dialog")).to_be_hidden()
    press("/")
    expect(tab.page.locator("#q")).to_be_focused()
    press("4")
    expect(tab.page.locator("#q")).to_have_value("4")


def test_the_temperature_by_keys_and_as_a_number(tab: Looking) -> None:
    tab.open(store="dense", utterance=UTTERANCE)
    slider = tab.page.locator("#temperature")

    slider.focus()
    for _ in range(8):
        tab.page.keyboard.press("ArrowRight")
    tab.at(2)
    expect(slider).to_have_attribute("aria-valuetext", "T = 2")
    number = tab.page.locator("#temperature-number")
    number.fill("3.3")
    number.press("Enter")
    tab.at(3.3)
    number.fill("9999")
    number.press("Enter")
    tab.at(16)


def test_hovering_reads_and_a_click_stays(tab: Looking) -> None:
    tab.open(store="dense", utterance=UTTERANCE, frame=10)
    face = tab.page.locator(".picture .face").first
    box = face.bounding_box()
    assert box is not None
    plot = tab.page.locator("#plot")

    face.hover(position={"x": box["width"] / 2, "y": 20})
    expect(plot).to_have_attribute("aria-valuenow", "150")
    tab.page.mouse.move(5, 5)
    expect(plot).to_have_attribute("aria-valuenow", "10")
    face.click(position={"x": box["width"] / 2, "y": 20})
    tab.page.mouse.move(5, 5)
    expect(plot).to_have_attribute("aria-valuenow", "150")
    expect(tab.page).to_have_url(re.compile("frame=150"))


def test_hard_labels_lie_on_the_picture(tab: Looking, stores: dict[str, Store]) -> None:
    tab.open(store="dense", utterance=UTTERANCE, frame=FRAME, rows=192)
    expect(tab.page.locator(".picture .label")).to_have_count(0)

    tab.page.locator("#plot").focus()
    tab.page.keyboard.press("l")
    expect(tab.page.locator(".picture:not([hidden]) .label")).to_have_count(2)
    label = int(stores["dense"][UTTERANCE].labels(FRAME, FRAME + 1)[0])
    expected = stores["dense"][UTTERANCE].posteriors(1.0, FRAME, FRAME + 1)[0, label]
    assert tab.stat("label") == pytest.approx(float(expected), rel=CLOSE)
