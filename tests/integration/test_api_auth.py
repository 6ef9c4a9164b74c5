"""A service that asks for tokens: who gets in, and which stores there are for them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

import softstore
from api import auth
from api.settings import ServiceSettings
from api.tokens import add_token, revoke_token
from softstore import Store
from softstore.errors import StorageError
from tests.service import serving

OPEN = ["/", "/page/app.js", "/healthz", "/readyz", "/openapi.json"]
WANTED = [
    "/v1/stores",
    "/v1/stores/demo",
    "/v1/stores/demo/objects/zarr.json",
    "/metrics",
    "/nothing",
    "/page",
]


class Guarded:
    """A service, the file of its tokens, and two of them: for all stores, and for ``demo`` only."""

    def __init__(self, client: httpx.Client, file: Path, everything: str, demo: str) -> None:
        self.client, self.file, self.everything, self.demo = client, file, everything, demo

    def get(self, path: str, token: str | None = None, method: str = "GET") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.client.request(method, path, headers=headers)


@pytest.fixture(scope="module")
def guarded(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    file = tmp_path_factory.mktemp("tokens") / "tokens.json"
    everything, demo = add_token(file, "anna", ["*"]), add_token(file, "lab", ["demo"])
    settings = ServiceSettings(tokens=file, cors_origins=["https://lab.example"])
    with serving({"demo": store.url, "secret": store.url}, settings) as client:
        yield Guarded(client, file, everything, demo)


@pytest.mark.parametrize("path", OPEN)
def test_probes_the_page_and_the_description_need_no_token(guarded: Guarded, path: str) -> None:
    assert guarded.get(path).status_code == 200
    assert guarded.get(path, "of somebody else").status_code == 200


@pytest.mark.parametrize("path", WANTED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_all_else_does(guarded: Guarded, path: str, method: str) -> None:
    for token in (None, "of somebody else", guarded.everything[:-1], guarded.everything + "x"):
        answer = guarded.get(path, token, method)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer realm="softstore"')
        assert ("invalid_token" in answer.headers["www-authenticate"]) == (token is not None)
        if method != "HEAD":
            assert answer.json()["code"] == "unauthorized"
    assert guarded.get(path, guarded.everything, method).status_code != 401


@pytest.mark.parametrize(
    "path", ["/v1/../healthz", "//healthz", "/healthz/", "/page/../v1/stores", "/%68ealthz"]
)
def test_no_way_of_writing_a_path_gets_round_it(guarded: Guarded, path: str) -> None:
    url = guarded.client.base_url
    with closing(http.client.HTTPConnection(url.host, url.port)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status in (401, 404)
        assert b'"stores"' not in answer.read()


@pytest.mark.parametrize("value", ["{}", "Basic {}", "Bearer", "Bearer {} x", "Bearer\t{}", "Token {}"])
def test_other_ways_to_send_it_are_none(guarded: Guarded, value: str) -> None:
    headers = {"Authorization": value.format(guarded.everything)}
    assert guarded.client.get("/v1/stores", headers=headers).status_code == 401
    assert guarded.client.get(f"/v1/stores?token={guarded.everything}").status_code == 401


def test_the_scheme_is_written_as_one_likes(guarded: Guarded) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {guarded.everything}"}
        assert guarded.client.get("/v1/stores", headers=headers).status_code == 200


def test_other_stores_do_not_exist_for_a_token(guarded: Guarded) -> None:
    def names(token: str) -> list[str]:
        return [store["name"] for store in guarded.get("/v1/stores", token).json()["stores"]]

    assert names(guarded.everything) == ["demo", "secret"]
    assert names(guarded.demo) == ["demo"]
    for path in ("", "/utterances", "/utterances/a", "/utterances/a/posteriors", "/objects/zarr.json"):
        assert guarded.get(f"/v1/stores/demo{path}", guarded.demo).status_code == 200
        assert guarded.get(f"/v1/stores/secret{path}", guarded.everything).status_code == 200
        refused = guarded.get(f"/v1/stores/secret{path}", guarded.demo)
        unknown = guarded.get(f"/v1/stores/elsewhere{path}", guarded.demo)
        assert refused.status_code == unknown.status_code == 404
        assert refused.json()["detail"] == unknown.json()["detail"].replace("elsewhere", "secret")


def test_metrics_tell_of_all_stores(guarded: Guarded) -> None:
    assert guarded.get("/metrics", guarded.everything).status_code == 200
    refused = guarded.get("/metrics", guarded.demo)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_readiness_names_no_stores_to_strangers(own_store: Store, tmp_path: Path) -> None:
    token = add_token(tmp_path / "tokens.json", "anna", ["*"])
    settings = ServiceSettings(tokens=tmp_path / "tokens.json")
    with serving({"classified": own_store.url}, settings) as client:
        Path(own_store.url, "zarr.json").unlink()
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "classified" not in answer.text
        assert "classified" in client.get("/readyz", headers={"Authorization": f"Bearer {token}"}).text


def test_what_tokens_open_is_kept_by_nobody_else(guarded: Guarded) -> None:
    answer = guarded.get("/v1/stores/demo/objects/targets/classes/c/0/0", guarded.demo)
    assert answer.status_code == 200
    assert "private" in answer.headers["cache-control"]


def test_a_page_elsewhere_may_bring_a_token_and_read_why_it_is_refused(guarded: Guarded) -> None:
    origin = {"Origin": "https://lab.example"}
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    asked = guarded.client.options("/v1/stores", headers=origin | asking)
    assert asked.status_code == 200
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    refused = guarded.client.get("/v1/stores", headers=origin)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://lab.example"


def test_the_description_says_so(guarded: Guarded) -> None:
    document = guarded.get("/openapi.json").json()
    (name,) = document["security"][0]
    assert document["components"]["securitySchemes"][name]["scheme"] == "bearer"
    listing, probe, metrics = (
        document["paths"][path]["get"] for path in ("/v1/stores", "/healthz", "/metrics")
    )
    assert "401" in listing["responses"]
    assert "401" not in probe["responses"]
    assert probe["security"] == []
    assert {"401", "403"} <= metrics["responses"].keys()


def test_an_expired_token_opens_nothing_and_says_so(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token, other = add_token(file, "guest", ["*"], days=1), add_token(file, "anna", ["*"], days=1)
    kept = json.loads(file.read_text())
    kept["tokens"][0]["expires"] = "2020-01-02T03:04:05Z"
    file.write_text(json.dumps(kept))
    with serving({"demo": store.url}, ServiceSettings(tokens=file)) as client:
        service = Guarded(client, file, other, token)
        for path in WANTED:
            answer = service.get(path, token)
            assert answer.status_code == 401
            assert "invalid_token" in answer.headers["www-authenticate"]
            assert answer.json()["detail"] == (
                "The token guest expired on 2020-01-02 03:04 UTC: ask for a new one."
            )
        for path in OPEN:
            assert service.get(path, token).status_code == 200
        assert service.get("/v1/stores", other).status_code == 200


def test_the_reader_brings_its_token(guarded: Guarded, store: Store) -> None:
    url = f"{str(guarded.client.base_url).rstrip('/')}/v1/stores/demo/objects"
    assert len(softstore.open(url, token=guarded.demo)) == len(store)
    with pytest.raises(StorageError, match="refuses this token"):
        softstore.open(url, token="of somebody else")


def test_a_revoked_token_opens_nothing_without_a_restart(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_LOOK_SECONDS", 0.0)
    token = add_token(guarded.file, "passing", ["*"])
    while guarded.get("/v1/stores", token).status_code == 401:
        pass
    assert guarded.get("/v1/stores", token).status_code == 200
    revoke_token(guarded.file, "passing")
    assert guarded.get("/v1/stores", token).status_code == 401
    assert guarded.get("/v1/stores", guarded.everything).status_code == 200
