"""The OpenAPI document: what FastAPI makes of the routes, and what the layers around them may answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api import deprecation
from api.auth import TELLING_OF_ALL, is_open
from api.middleware.heavy import HEAVY
from api.problems import Problem, problems

_METHODS = frozenset({"get", "head", "post"})
_VALIDATION = "HTTPValidationError"
_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of `softstore token add`, where the service asks for tokens. It opens all stores "
    "or some; of the others it is told that they do not exist.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of ``app`` as it is now."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    # FastAPI's ``responses`` can only name under JSON what is problem+json.
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["securitySchemes"] = {"token": _SCHEME}
    tokens = app.state.settings.tokens is not None
    if tokens:
        document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for method in operations.keys() & _METHODS:
            responses = operations[method]["responses"]
            if _VALIDATION in str(responses.get("422")):
                # FastAPI's own, which `api.problems` answers instead.
                responses["422"] = problems(422)[422]
            if tokens and is_open(path):
                operations[method]["security"] = []
            for status in _layers_answer(path, method, tokens):
                for told, response in problems(status).items():
                    responses.setdefault(str(told), response)
    for unused in (_VALIDATION, "ValidationError"):
        schemas.pop(unused, None)
    deprecation.mark_operations(document, deprecation.DEPRECATED)
    return document


def operation_id(route: APIRoute) -> str:
    """An operation is called what its function is called."""
    return route.name


def _layers_answer(path: str, method: str, tokens: bool) -> Iterator[int]:
    yield from (500, 503)
    if tokens and not is_open(path):
        yield 401
    if tokens and path in TELLING_OF_ALL:
        yield 403
    if method == "post":
        yield from (408, 413)
    if HEAVY.fullmatch(re.sub("{[^}]*}", "x", path)):
        yield 429
