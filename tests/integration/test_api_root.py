"""Stores below a root: found where they are, also later; what is broken or leads elsewhere harms nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api import catalogue
from api.catalogue import Catalogue
from api.discovery import Root
from api.settings import ServiceSettings
from softstore import Corpus, Store
from softstore.copy import copy
from softstore.errors import InvalidInputError, NotFoundError
from softstore.storage import open_storage
from tests.samples import make_store
from tests.service import serving


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every listing and every unknown name looks."""
    monkeypatch.setattr(catalogue, "ROOT_SECONDS", -1.0)
    monkeypatch.setattr(catalogue, "REFRESH_SECONDS", -1.0)
    monkeypatch.setattr(catalogue, "LOOKING_SHARE", float("inf"))


@pytest.fixture
def root(tmp_path: Path, store: Store, corpus: Corpus) -> Path:
    """Two stores, and things that are none."""
    root = tmp_path / "root"
    shutil.copytree(store.url, root / "one")
    shutil.copytree(store.url, root / "group/deep/two")
    shutil.copytree(corpus.url, root / "corpus")
    (root / "foreign.zarr").mkdir()
    (root / "foreign.zarr/zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    (root / "notes").mkdir()
    (root / "notes/zarr.txt").write_text("nothing")
    shutil.copytree(store.url, root / ".hidden")
    shutil.copytree(store.url, root / "one/inside")
    return root


@pytest.fixture
def client(root: Path) -> Iterator[httpx.Client]:
    with serving({}, ServiceSettings(root=str(root))) as client:
        yield client


def names(client: httpx.Client) -> list[str]:
    return [store["name"] for store in client.get("/v1/stores").json()["stores"]]


def test_stores_are_found_and_named_by_their_place(root: Path, client: httpx.Client) -> None:
    assert Root(str(root)).look() == {"one": f"{root}/one", "group.deep.two": f"{root}/group/deep/two"}
    assert names(client) == ["group.deep.two", "one"]
    for name in names(client):
        assert client.get(f"/v1/stores/{name}/utterances/a/posteriors").status_code == 200


def test_the_same_below_an_s3_url(store: Store, corpus: Corpus, s3_url: str) -> None:
    copy(store.frames.storage, open_storage(f"{s3_url}/stores/group/two", writable=True))
    make_store(f"{s3_url}/stores/one", corpus)
    found = Root(f"{s3_url}/stores").look()
    assert found == {"one": f"{s3_url}/stores/one", "group.two": f"{s3_url}/stores/group/two"}
    assert len(Catalogue({}, f"{s3_url}/stores")["group.two"].current()) == len(store)
    assert Root(f"{s3_url}/nothing-yet").look() == {}


def test_stores_that_come_and_go_are_noticed(root: Path, client: httpx.Client) -> None:
    shutil.copytree(root / "one", root / "late")
    assert client.get("/v1/stores/late").status_code == 200
    assert client.get("/v1/stores/never").status_code == 404
    shutil.move(root / "late", root / "later")
    assert names(client) == ["group.deep.two", "later", "one"]
    assert client.get("/v1/stores/late").status_code == 404
    assert client.get("/v1/stores/later").status_code == 200


def test_it_is_looked_at_now_and_then_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = Catalogue({}, str(root))
    monkeypatch.setattr(catalogue, "ROOT_SECONDS", 1000.0)
    stores.look()
    shutil.copytree(root / "one", root / "late")
    assert not stores.due
    stores.look()
    assert "late" not in stores


def test_nothing_is_opened_before_it_is_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "REFRESH_SECONDS", 1000.0)
    stores = Catalogue({}, str(root))
    assert stores["one"].at_hand() is None
    assert stores["one"].current() is stores["one"].at_hand()
    assert stores["group.deep.two"].at_hand() is None


def test_a_broken_store_is_listed_with_its_problem_and_the_rest_serves_on(
    root: Path, client: httpx.Client
) -> None:
    broken = root / "group/broken"
    shutil.copytree(root / "one", broken)
    attributes = (broken / "zarr.json").read_text()
    (broken / "zarr.json").write_text(attributes.replace('"class_count":120', '"class_count":121'))
    listed = {store["name"]: store for store in client.get("/v1/stores").json()["stores"]}
    assert listed["group.broken"]["problem"]["code"] == "corrupt_data"
    assert str(root) not in str(listed)
    assert listed["one"]["problem"] is None
    answer = client.get("/v1/stores/group.broken/utterances/a")
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_data")
    assert client.get("/v1/stores/one/utterances/a").status_code == 200
    assert client.get("/readyz").json() == {"status": "ready", "stores": 2}
    (broken / "zarr.json").write_text(attributes)
    assert client.get("/v1/stores/group.broken/utterances/a").status_code == 200


def test_links_lead_nowhere_but_to_stores_below_the_root(root: Path, store: Store) -> None:
    (root / "outside").symlink_to(store.url)
    (root / "above").symlink_to(root.parent)
    (root / "loop").symlink_to(root)
    (root / "group/loop").symlink_to(root / "group")
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "latest").symlink_to(root / "group/deep/two")
    assert sorted(Root(str(root)).look()) == ["group.deep.two", "latest", "one"]
    # The root itself may be one.
    (root.parent / "link").symlink_to(root)
    assert sorted(Root(str(root.parent / "link")).look()) == ["group.deep.two", "latest", "one"]


def test_two_of_one_name_and_names_that_cannot_be(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(root / "one", root / "group.deep.two")
    shutil.copytree(root / "one", root / "a name")
    shutil.copytree(root / "one", root / "back\\slash")
    looking = Root(str(root))
    assert looking.look() == looking.look()
    assert sorted(looking.look()) == ["group.deep.two", "one"]
    for place in ("a name", "back\\slash", "group"):
        assert (
            sum(f"{root}/{place}" in message and "not served" in message for message in caplog.messages) == 1
        )


def test_a_store_that_was_named_goes_first(root: Path, own_store: Store) -> None:
    stores = Catalogue({"one": own_store.url}, str(root))
    assert stores["one"].url == own_store.url
    assert len(stores) == 2


def test_a_root_that_is_none(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is a store itself"):
        Root(str(root / "one"))
    with pytest.raises(NotFoundError, match="There is no directory"):
        Root(str(tmp_path / "nowhere"))


def test_a_root_that_cannot_be_read_leaves_things_as_they_were(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stores = Catalogue({}, str(root))
    root.rename(root.parent / "elsewhere")
    root.symlink_to(root)
    stores.look()
    assert "served as they were" in caplog.text
    assert sorted(stores) == ["group.deep.two", "one"]
