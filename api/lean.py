"""Routes that FastAPI describes and does not run: what it does for a request takes longer than the answer.

    @router.get("/{path:path}", summary="…")
    @answered_by(send_object, ready=object_at_hand)
    def get_object(path: str) -> None:
        \"\"\"The description.\"\"\"

Of the function, OpenAPI has the parameters and the docstring; requests go to the ASGI application, and to the
function only if that leaves them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Scope, Receive, Send], Awaitable[bool]]
"""An ASGI application for HTTP requests, which finds ``path_params`` in their scope, as sent; False where it
leaves a request to FastAPI."""


class Whole(NamedTuple):
    """An answer that is there, its headers as lines, all but its length and what every answer has."""

    status: int
    head: bytes
    body: bytes


Ready = Callable[[Scope, bytes], Whole | None]
"""What a request with that body is answered, if that takes no waiting; None, or an error, leaves it to the
other one."""

_Described = TypeVar("_Described", bound=Callable[..., object])


def answered_by(answer: Answer, *, ready: Ready | None = None) -> Callable[[_Described], _Described]:
    """What is run instead of the function below, and what `api.express` asks before that."""

    def note(described: _Described) -> _Described:
        described.lean = answer, ready  # type: ignore[attr-defined]
        return described

    return note


_KNOWN_PATHS, _PATH_LETTERS = 4096, 256


class _Found(NamedTuple):
    route: APIRoute
    names: dict[str, str]
    answer: Answer
    ready: Ready | None


class LeanRoutes:
    """The routes of ``routers`` that are `answered_by` something."""

    def __init__(self, routers: Sequence[APIRouter]) -> None:
        self._routes = [
            (route.path_regex, method, route, *route.endpoint.lean)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute) and hasattr(route.endpoint, "lean")
            for method in sorted(route.methods or ())
        ]
        self._known: dict[tuple[str, str], _Found] = {}

    def find(self, scope: Scope) -> tuple[Answer, Ready | None] | None:
        """What answers a request, if one of these does; its scope then has ``route`` and ``path_params``."""
        path = scope["path"][len(scope.get("root_path", "")) :]
        key = scope["method"], path
        found = self._known.get(key)
        if found is None:
            found = self._match(*key)
            if found is None:
                return None
            if len(self._known) >= _KNOWN_PATHS:
                self._known.clear()
            if len(path) <= _PATH_LETTERS:
                self._known[key] = found
        scope["route"], scope["path_params"], answer, ready = found
        return answer, ready

    def _match(self, asked: str, path: str) -> _Found | None:
        for regex, method, route, answer, ready in self._routes:
            match = regex.match(path) if method == asked else None
            if match is not None:
                return _Found(route, match.groupdict(), answer, ready)
        return None


class Lean:
    """The innermost layer: has requests to such routes answered, and leaves others to FastAPI."""

    def __init__(self, app: ASGIApp, *, routes: LeanRoutes) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.find(scope) if scope["type"] == "http" else None
        if found is None or not await found[0](scope, receive, send):
            await self.app(scope, receive, send)
