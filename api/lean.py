"""Routes that FastAPI describes and does not run: what it does for a request takes longer than the answer.

    @router.get("/{path:path}", summary="…")
    @answered_by(send_object)
    def get_object(path: str) -> None:
        \"\"\"The description.\"\"\"

Of the function, OpenAPI has the parameters and the docstring; requests go to the ASGI application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application for HTTP requests, which finds ``path_params`` in their scope, as sent."""

_Described = TypeVar("_Described", bound=Callable[..., None])


def answered_by(answer: Answer) -> Callable[[_Described], _Described]:
    """What `Lean` runs instead of the function below."""

    def note(described: _Described) -> _Described:
        described.answer = answer  # type: ignore[attr-defined]
        return described

    return note


class Lean:
    """The innermost layer: answers requests to such routes of ``routers``, and leaves others to FastAPI."""

    def __init__(self, app: ASGIApp, *, routers: Sequence[APIRouter]) -> None:
        self.app = app
        self._routes = [
            (route.path_regex, method, route, route.endpoint.answer)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute) and hasattr(route.endpoint, "answer")
            for method in sorted(route.methods or ())
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = scope["method"]
            path = scope["path"][len(scope.get("root_path", "")) :]
            for regex, method, route, answer in self._routes:
                match = regex.match(path) if method == asked else None
                if match is not None:
                    scope["route"] = route
                    scope["path_params"] = match.groupdict()
                    await answer(scope, receive, send)
                    return
        await self.app(scope, receive, send)
