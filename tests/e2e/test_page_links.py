"""Finding utterances on the page, and finding back."""

from __future__ import annotations

import re

from tests.e2e.looking import Browser, Looking, expect, looking


def test_a_link_shows_the_same_again(browser: Browser, origin: str, tab: Looking) -> None:
    tab.open(store="dense", other="short", utterance="b")
    tab.soften(4)
    tab.page.locator("#rows").select_option("32")
    tab.page.locator("#order").select_option("time")
    tab.page.locator("#labels").check()
    tab.page.locator("#plot").focus()
    tab.page.keyboard.press("Shift+ArrowRight")
    tab.page.locator("#zoom-in").click()
    expect(tab.page.locator("#plot")).to_have_attribute("data-columns", "150")
    expect(tab.page).to_have_url(
        f"{origin}/?store=dense&other=short&utterance=b&T=4&frame=10&from=5&to=155&rows=32&order=time&labels=1"
    )

    with looking(browser, origin) as again:
        again.page.goto(tab.page.url)
        again.settle()
        assert again.pixels() == tab.pixels()
        assert again.posteriors(1) == tab.posteriors(1)
        assert again.senones() == tab.senones()
        expect(again.page.locator("#labels")).to_be_checked()


def test_back_returns_to_the_utterance_before(tab: Looking) -> None:
    tab.open(store="dense", utterance="a", T=2)
    tab.page.locator("#utterances [data-utterance=c]").click()
    expect(tab.page.locator("#facts .id")).to_have_text("c")
    tab.page.locator("#store").select_option("short")
    expect(tab.page.locator("#facts .id")).to_have_text("a")

    tab.page.go_back()
    expect(tab.page.locator("#facts .id")).to_have_text("c")
    expect(tab.page.locator("#store")).to_have_value("dense")
    tab.page.go_back()
    expect(tab.page.locator("#facts .id")).to_have_text("a")
    tab.settle()


def test_search_and_filters(tab: Looking) -> None:
    tab.open(store="dense")
    total = tab.page.locator("#total")

    tab.page.locator("#q").fill("slash")
    expect(total).to_have_text("1 utterance")
    tab.page.locator("#utterances a").click()
    expect(tab.page.locator("#facts .id")).to_have_text("e/with slash")
    tab.page.locator("#q").fill("no such words")
    expect(total).to_have_text("No utterance matches.")
    tab.page.locator("#q").fill("")
    tab.page.locator("#split").fill("cv")
    expect(total).to_have_text("2 utterances")
    expect(tab.page).to_have_url(re.compile("split=cv"))
