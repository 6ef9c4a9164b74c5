"""A copy is the same, bit for bit, wherever it comes from and goes to."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore.copy import copy
from softstore.errors import CorruptDataError, InvalidInputError, StorageError
from softstore.frames import Frames
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from tests.faults import faulty_proxy
from tests.s3 import IMPATIENT
from tests.service import serving
from tests.watched import contents
from tests.web_server import web_server


@pytest.mark.parametrize("what", ["store", "corpus"])
def test_from_place_to_place_and_back(
    what: str, tmp_path: Path, s3_url: str, request: pytest.FixtureRequest
) -> None:
    source: Store | Corpus = request.getfixturevalue(what)
    wanted = contents(source.frames.storage)
    here: Storage = source.frames.storage
    for url in (f"memory://{uuid4().hex}", s3_url, f"{tmp_path}/served"):
        there = open_storage(url, writable=True)
        copy(here, there)
        assert contents(there) == wanted
        here = there
    with web_server(tmp_path) as url:
        back = open_storage(f"{tmp_path}/back", writable=True)
        done = copy(open_storage(f"{url}/served"), back)
        assert contents(back) == wanted
        assert copy(open_storage(f"{url}/served"), back).present == done.objects
    report = verify(back)
    assert report.sound
    assert report.orphans == []
    if isinstance(source, Store):
        found = Store(Frames(back))
        for utterance in source.scan():
            np.testing.assert_array_equal(
                found[utterance.utterance_id].posteriors(2.0), utterance.posteriors(2.0)
            )


def test_a_network_that_fails_stops_or_delays_it_but_copies_nothing_wrong(
    tmp_path: Path, store: Store
) -> None:
    place = open_storage(tmp_path / "copy", writable=True)
    with web_server(Path(store.url)) as upstream, faulty_proxy(upstream) as proxy:
        source = open_storage(proxy.url, retries=IMPATIENT)
        proxy.inject("flip", path="targets/classes/c/1")
        with pytest.raises(CorruptDataError, match=r"targets/classes/c/1/0 in http.* is damaged"):
            copy(source, place)
        proxy.inject("cut", times=2, path="targets/tail")
        proxy.inject("busy", times=2, path="manifest")
        copy(source, place)
        proxy.inject("refuse", path="zarr.json")
        with pytest.raises(StorageError):
            copy(source, place)
    assert contents(place) == contents(store.frames.storage)


def test_from_our_own_service(tmp_path: Path, store: Store) -> None:
    place = open_storage(tmp_path / "copy", writable=True)
    with serving({"demo": store.url}) as client:
        source = open_storage(f"{str(client.base_url).rstrip('/')}/v1/stores/demo/objects")
        assert verify(source).sound
        copy(source, place)
    assert contents(place) == contents(store.frames.storage)


def test_a_web_server_is_no_place_to_copy_to(store: Store, tmp_path: Path) -> None:
    with web_server(tmp_path) as url, pytest.raises(InvalidInputError, match="cannot be written"):
        open_storage(f"{url}/copy", writable=True)
    with web_server(Path(store.url)) as url, pytest.raises(StorageError, match="does not list"):
        copy(store.frames.storage, open_storage(url))
