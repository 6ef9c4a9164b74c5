"""A served corpus in two codecs, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from softstore import Corpus, Store
from softstore.codecs import Float32, TopK
from tests.samples import make_store
from tests.service import serving

if TYPE_CHECKING:
    # At run time only those who need a browser need playwright.
    from tests.e2e.looking import Browser, Looking


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> dict[str, Store]:
    folder = tmp_path_factory.mktemp("page")
    return {
        "dense": make_store(folder / "dense", corpus, Float32()),
        "short": make_store(folder / "short", corpus, TopK(k=8)),
    }


@pytest.fixture(scope="module")
def origin(stores: dict[str, Store]) -> Iterator[str]:
    with serving({name: store.url for name, store in stores.items()}) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.e2e.looking import chromium

    with chromium() as found:
        yield found


@pytest.fixture
def tab(browser: Browser, origin: str) -> Iterator[Looking]:
    from tests.e2e.looking import looking

    with looking(browser, origin) as opened:
        yield opened
