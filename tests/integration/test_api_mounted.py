"""The service below another application, at a prefix of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

import softstore
from api import create_app
from api.settings import ServiceSettings
from api.tokens import add_token
from softstore import Store
from tests.samples import LENGTHS
from tests.service import running


def test_it_works_below_a_prefix(store: Store) -> None:
    other = FastAPI()

    @other.get("/hello")
    def hello() -> str:
        return "hello"

    other.mount("/soft/targets", create_app({"demo": store.url}))
    with running(other) as client:
        assert client.get("/hello").json() == "hello"
        prefix = "/soft/targets"
        listed = client.get(f"{prefix}/v1/stores").json()["stores"]
        for name, href in listed[0]["links"].items():
            assert client.get(href).status_code == 200, name
        page = client.get(f"{prefix}/v1/stores/demo/utterances?limit=3").json()
        assert page["links"]["next"].startswith(prefix)
        assert client.get(page["links"]["next"]).status_code == 200
        for utterance_id in ("a", "e%2Fwith%20slash", "e/with%20slash"):
            answer = client.get(f"{prefix}/v1/stores/demo/utterances/{utterance_id}/posteriors")
            assert answer.status_code == 200
        batch = {"items": [{"utterance_id": "a"}]}
        assert client.post(f"{prefix}/v1/stores/demo/batch", json=batch).status_code == 200
        url = f"{str(client.base_url).rstrip('/')}{prefix}/v1/stores/demo/objects"
        assert len(softstore.open(url)) == len(LENGTHS)
        for path in ("/", "/page/app.js", "/healthz", "/readyz", "/openapi.json", "/metrics"):
            assert client.get(prefix + path).status_code == 200
        assert client.get("/v1/stores").status_code == 404


@pytest.mark.parametrize("prefix", ["/soft", "/healthz", "/page"])
def test_tokens_are_asked_for_below_any_prefix(store: Store, tmp_path: Path, prefix: str) -> None:
    token = add_token(tmp_path / "tokens.json", "anna", ["*"])
    app = create_app({"demo": store.url}, ServiceSettings(tokens=tmp_path / "tokens.json"))
    with running(Starlette(routes=[Mount(prefix, app)])) as client:
        assert client.get(f"{prefix}/healthz").status_code == 200
        for path in ("/v1/stores", "/v1/stores/demo/objects/zarr.json", "/metrics"):
            assert client.get(prefix + path).status_code == 401
            answer = client.get(prefix + path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
