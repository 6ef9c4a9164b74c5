"""Layers of the service around a small ASGI application, asked without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.failures import Failures
from api.middleware.observation import Observation
from api.observer import Observer

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def observed(app: ASGIApp) -> ASGIApp:
    """``app`` within the layers that the others rely on."""
    return Observation(Failures(app), observer=Observer(()))


def answering(
    body: bytes | Sequence[bytes], media_type: str = "application/json", **headers: str
) -> Application:
    """An application with one answer, in one piece or in several."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    sent = {"content-type": media_type, **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        for number, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})

    return app


async def ask(
    app: ASGIApp, path: str = "/", method: str = "GET", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """One request; only the headers given are sent."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        client.headers.clear()
        return await client.request(method, path, headers=headers)
