"""Errors as application/problem+json (RFC 9457), with a ``code`` that programs can rely on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.catalogue import catalogue
from softstore.errors import ErrorKind, SoftstoreError

PROBLEM_JSON = "application/problem+json"

LIMIT_EXCEEDED = "limit_exceeded"
NOT_ACCEPTABLE = "not_acceptable"
RANGE_NOT_SATISFIABLE = "range_not_satisfiable"

_STATUS: Mapping[ErrorKind, int] = {
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.INVALID_INPUT: 422,
    ErrorKind.STORAGE: 503,
}
_PUBLIC_500 = {ErrorKind.CORRUPT_DATA, ErrorKind.FORMAT, ErrorKind.NOT_A_STORE}
_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """What went wrong."""

    type: str = "about:blank"
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(
        description="What happened, to what, and what to do.",
        examples=["store demo has no utterance 'cv-9999'."],
    )
    code: str = Field(
        description="Never changes its meaning: a kind of `softstore.errors.ErrorKind`, or one of "
        "`limit_exceeded`, `not_acceptable`, `range_not_satisfiable`, `method_not_allowed`.",
        examples=["not_found"],
    )
    limit: int | None = Field(None, description="The limit that was exceeded.", examples=[2000])


class ProblemError(Exception):
    """A refusal that only HTTP knows."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        limit: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = _problem(status, code, detail, limit)
        self.headers = dict(headers or {})


def problem_of(request: Request, error: SoftstoreError) -> Problem:
    """What a client is told of ``error``: no places on the server, nothing of its storage's troubles."""
    status = _STATUS.get(error.kind, 500)
    if status == 503:
        _log.error("%s", error)
        detail = "The storage behind this store does not answer: try again later."
    elif status == 500 and error.kind not in _PUBLIC_500:
        _log.error("%s", error)
        detail = "The service could not answer: its log says why."
    else:
        detail = catalogue(request).without_urls(str(error))
    return _problem(status, error.kind.value, detail)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` with a problem."""

    @app.exception_handler(SoftstoreError)
    async def softstore_error(request: Request, error: SoftstoreError) -> Response:
        return _response(problem_of(request, error))

    @app.exception_handler(ProblemError)
    async def problem_error(request: Request, error: ProblemError) -> Response:
        return _response(error.problem, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> Response:
        detail = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
        return _response(_problem(422, ErrorKind.INVALID_INPUT, detail))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code, detail = str(ErrorKind.ERROR), str(error.detail)
        if error.status_code == 404:
            code, detail = (
                ErrorKind.NOT_FOUND,
                "There is nothing here; /openapi.json says what there is.",
            )
        elif error.status_code == 405:
            code, detail = "method_not_allowed", f"{request.method} is not possible here."
        return _response(_problem(error.status_code, code, detail), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        detail = "The service failed in a way it should not: its log says how."
        return _response(_problem(500, ErrorKind.ERROR, detail))


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can answer with problems of these statuses."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _problem(status: int, code: str, detail: str, limit: int | None = None) -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, limit=limit)


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(problem.model_dump(exclude_none=True))
    return Response(body, problem.status, headers, media_type=PROBLEM_JSON)
