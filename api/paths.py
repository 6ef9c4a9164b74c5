"""Paths as clients sent them: utterance ids may hold slashes, so ``%2F`` must not become a separator."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Path, Request
from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send


class UndecodedPath:
    """Middleware that routes on the percent-encoded path; `StoreName` and `UtteranceId` decode themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw = scope.get("raw_path")
            path = raw.decode("latin-1") if raw is not None else quote(scope["path"])
            scope = {**scope, "path": path}
        await self.app(scope, receive, send)


def decoded(text: str) -> str:
    """A part of a path as it was sent, decoded; raises `ValueError` if it is not UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("it is not percent-encoded UTF-8") from error


StoreName = Annotated[str, Path(description="Name of a store.", examples=["demo"]), AfterValidator(decoded)]

UtteranceId = Annotated[
    str,
    Path(
        description="Utterance id, percent-encoded. Its slashes may stay, unless it ends in the "
        "name of one of its resources, such as `/posteriors`.",
        examples=["cv-0001"],
    ),
    AfterValidator(decoded),
]


def store_href(request: Request, store: str) -> str:
    """The path of a store's resource, below wherever the service is mounted."""
    return f"{request.scope.get('root_path', '')}/v1/stores/{quote(store, safe='')}"


def utterance_href(request: Request, store: str, utterance_id: str) -> str:
    """The path of an utterance's resource; its id is one segment, slashes encoded."""
    return f"{store_href(request, store)}/utterances/{quote(utterance_id, safe='')}"
