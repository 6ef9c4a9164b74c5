"""The page of a service that asks for tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api import auth
from api.settings import ServiceSettings
from api.tokens import add_token, revoke_token
from softstore import Store
from tests.e2e.looking import Browser, expect, looking
from tests.service import serving


@dataclass
class Guarded:
    """A service, the file of its tokens, and two of them: for all stores, and for ``dense`` only."""

    origin: str
    file: Path
    everything: str
    dense: str


@pytest.fixture
def guarded(stores: dict[str, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    monkeypatch.setattr(auth, "_LOOK_SECONDS", 0.0)
    file = tmp_path / "tokens.json"
    everything, dense = add_token(file, "anna", ["*"]), add_token(file, "lab", ["dense"])
    urls = {name: store.url for name, store in stores.items()}
    with serving(urls, ServiceSettings(tokens=file)) as client:
        yield Guarded(str(client.base_url).rstrip("/"), file, everything, dense)


def test_it_asks_until_one_is_accepted_and_keeps_it_for_the_tab(browser: Browser, guarded: Guarded) -> None:
    with looking(browser, guarded.origin, refused={"": 401}) as tab:
        dialog = tab.page.locator("#token-dialog")
        tab.page.goto(f"{guarded.origin}/?store=dense&utterance=b")

        expect(dialog).to_contain_text("This service wants a token")
        expect(dialog).to_contain_text("softstore token add")
        tab.page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Token").fill("guessed")
        tab.page.keyboard.press("Enter")
        expect(dialog).to_contain_text("The token was refused")
        dialog.get_by_label("Token").fill(guarded.everything)
        tab.page.keyboard.press("Enter")
        tab.settle()

        tab.page.reload()
        tab.settle()
        expect(dialog).to_be_hidden()
        assert tab.page.evaluate("() => localStorage.length") == 0
        assert guarded.everything not in tab.page.url
        tab.page.locator("#copy-curl").click()
        assert guarded.everything not in (tab.page.locator("#toast").text_content() or "")


def test_it_offers_the_stores_that_the_token_opens(browser: Browser, guarded: Guarded) -> None:
    for token, names in ((guarded.everything, ["dense", "short"]), (guarded.dense, ["dense"])):
        with looking(browser, guarded.origin, refused={"": 401}) as tab:
            tab.page.goto(guarded.origin)
            tab.page.locator("#token-dialog").get_by_label("Token").fill(token)
            tab.page.keyboard.press("Enter")
            tab.settle()
            options = tab.page.locator("#store option").all()
            assert [option.get_attribute("value") for option in options] == names


def test_it_asks_again_once_the_token_is_revoked(browser: Browser, guarded: Guarded) -> None:
    with looking(browser, guarded.origin, refused={"": 401}) as tab:
        dialog = tab.page.locator("#token-dialog")
        tab.page.goto(f"{guarded.origin}/?store=dense&utterance=b")
        dialog.get_by_label("Token").fill(guarded.dense)
        tab.page.keyboard.press("Enter")
        tab.settle()

        revoke_token(guarded.file, "lab")
        tab.page.locator("#utterances").get_by_text("c", exact=True).click()
        expect(dialog).to_contain_text("The token was refused")
        expect(dialog).to_contain_text("it may have been revoked")
        dialog.get_by_label("Token").fill(guarded.everything)
        tab.page.keyboard.press("Enter")
        tab.settle()
        expect(tab.page.locator("#facts")).to_contain_text("200 frames")
