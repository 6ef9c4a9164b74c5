"""No name leads out of what is served: not a store's, an utterance's or an object's, however written."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from api.settings import ServiceSettings
from softstore import Store
from tests.service import serving

SECRET = "the words of another file"

UPWARDS = [
    "..",
    ".",
    "%2e%2e",
    "%2E%2E%2F",
    "..%2f",
    "..%2fsecret.txt",
    "..%2fbeside",
    "%2e%2e%2f%2e%2e%2fsecret.txt",
    "%252e%252e%252fsecret.txt",
    "..%5cbeside",
    "..\\beside",
    "one%2f..%2f..%2fbeside",
    "one/../../beside",
    "one%00",
    "%00",
    "one%00/../../beside",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "/etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "~root",
    "%c0%ae%c0%ae%2fsecret.txt",
    "%ff",
    "outside",
    "group.outside",
    "loop.one",
    "one%2e",
    "ONE",
    "%20one",
    "one%0d%0aX-Injected:%20yes",
    "*",
    "o?e",
]
"""Names below /v1/stores/ and further down; only ``one`` is there."""

PLACES = [
    "{}",
    "{}/objects/zarr.json",
    "{}/utterances/a",
    "one/utterances/{}",
    "one/utterances/{}/posteriors",
    "one/utterances/{}/features",
    "one/objects/{}",
    "one/objects/targets/{}",
    "one/objects/manifest/{}/secret.txt",
]


@pytest.fixture(scope="module")
def client(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A root with one store, and beside it what must not be reached: a secret, and another store."""
    place = tmp_path_factory.mktemp("escapes")
    root = place / "root"
    shutil.copytree(store.url, root / "one")
    shutil.copytree(store.url, place / "beside")
    (root / "group").mkdir()
    for secret in (place / "secret.txt", root / "secret.txt", place / "beside/secret.txt"):
        secret.write_text(SECRET)
    (root / "outside").symlink_to(place / "beside")
    (root / "group/outside").symlink_to(place)
    (root / "loop").symlink_to(root)
    (root / "one/outside").symlink_to(place)
    (root / "one/objects").symlink_to(place / "secret.txt")
    with serving({}, ServiceSettings(root=str(root))) as client:
        yield client


def ask(client: httpx.Client, path: str) -> tuple[int, bytes, str]:
    """Status, body and headers of a path that is sent as it is."""
    with closing(http.client.HTTPConnection(client.base_url.host, client.base_url.port)) as connection:
        connection.putrequest("GET", "/", skip_accept_encoding=True)
        # http.client would refuse some of these.
        connection._buffer[0] = f"GET {path} HTTP/1.1".encode("latin-1")  # type: ignore[attr-defined]
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), str(answer.headers)


def test_only_what_is_below_the_root_is_there(client: httpx.Client) -> None:
    assert [store["name"] for store in client.get("/v1/stores").json()["stores"]] == ["one"]
    for place in PLACES[:3]:
        assert client.get(f"/v1/stores/{place.format('one')}").status_code == 200


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", UPWARDS)
def test_no_name_leads_out(client: httpx.Client, place: str, name: str) -> None:
    status, body, headers = ask(client, f"/v1/stores/{place.format(name)}")
    assert status in (400, 404, 422), body
    assert SECRET.encode() not in body
    assert b"root:" not in body
    assert b"/escapes" not in body
    assert "X-Injected" not in headers


@pytest.mark.parametrize("byte", [0x00, 0x09, 0x0A, 0x0D, 0x20, 0x7F, 0x80, 0xFF])
def test_bytes_that_are_no_part_of_a_path(client: httpx.Client, byte: int) -> None:
    status, body, _ = ask(client, f"/v1/stores/one{chr(byte)}/objects/zarr.json")
    assert status in (400, 404, 422), body


def test_a_batch_reads_no_files(client: httpx.Client) -> None:
    for name in ("../../../secret.txt", "/etc/passwd", "a\0", "..\\..\\secret.txt"):
        answer = client.post("/v1/stores/one/batch", json={"items": [{"utterance_id": name}]})
        assert answer.status_code == 404
        assert SECRET not in answer.text


def test_the_place_of_the_stores_is_told_nobody(client: httpx.Client) -> None:
    for path in (
        "/v1/stores",
        "/v1/stores/one",
        "/v1/stores/one/provenance",
        "/v1/stores/one/utterances/none",
    ):
        assert "/escapes" not in client.get(path).text


def test_objects_beside_a_name_that_is_their_own(client: httpx.Client) -> None:
    for path in ("objects", "outside/secret.txt", "outside/beside/zarr.json"):
        assert client.get(f"/v1/stores/one/objects/{path}").status_code == 404
