"""The page where a token is wanted."""

from __future__ import annotations

from tests.e2e.looking import Browser, Looking, Route, expect, looking

SECRET = "open sesame"
PROBLEM = '{"status": 401, "title": "Unauthorized", "code": "unauthorized", "detail": "Send a bearer token."}'


def _wants_a_token(tab: Looking) -> None:
    """Let only what has `SECRET` through to the service."""

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == f"Bearer {SECRET}":
            route.continue_()
        else:
            route.fulfill(status=401, content_type="application/problem+json", body=PROBLEM)

    tab.page.route(f"{tab.origin}/v1/**", guard)


def test_it_asks_until_one_is_accepted_and_keeps_it_for_the_tab(browser: Browser, origin: str) -> None:
    with looking(browser, origin, refused={"": 401}) as tab:
        _wants_a_token(tab)
        dialog = tab.page.locator("#token-dialog")
        tab.page.goto(f"{origin}/?store=dense&utterance=b")

        expect(dialog).to_contain_text("This service wants a token")
        expect(dialog).to_contain_text("Send a bearer token.")
        tab.page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Token").fill("guessed")
        tab.page.keyboard.press("Enter")
        expect(dialog).to_contain_text("The token was refused")
        dialog.get_by_label("Token").fill(SECRET)
        tab.page.keyboard.press("Enter")
        tab.settle()

        tab.page.reload()
        tab.settle()
        expect(dialog).to_be_hidden()
        assert tab.page.evaluate("() => localStorage.length") == 0
        assert SECRET not in tab.page.url
        tab.page.locator("#copy-curl").click()
        assert SECRET not in (tab.page.locator("#toast").text_content() or "")
