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

from api import logs
from api.catalogue import catalogue
from api.middleware.exchange import exchange_of
from softstore.errors import ErrorKind, SoftstoreError

PROBLEM_JSON = "application/problem+json"

LIMIT_EXCEEDED = "limit_exceeded"
NOT_ACCEPTABLE = "not_acceptable"
RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
METHOD_NOT_ALLOWED = "method_not_allowed"
UNAUTHORIZED = "unauthorized"
FORBIDDEN = "forbidden"
UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"

_STATUS: Mapping[ErrorKind, int] = {
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.INVALID_INPUT: 422,
    ErrorKind.STORAGE: 503,
}
_CODES: Mapping[int, str] = {
    401: UNAUTHORIZED,
    403: FORBIDDEN,
    404: ErrorKind.NOT_FOUND.value,
    405: METHOD_NOT_ALLOWED,
    406: NOT_ACCEPTABLE,
    413: LIMIT_EXCEEDED,
    415: UNSUPPORTED_MEDIA_TYPE,
    422: ErrorKind.INVALID_INPUT.value,
}
_RETRY_AFTER: Mapping[int, str] = {429: "1", 503: "5"}
"""Seconds after which to try again, where that may help: a turn soon ends, a storage needs a moment."""

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
        "`limit_exceeded`, `not_acceptable`, `range_not_satisfiable`, `method_not_allowed`, `unauthorized`, "
        "`forbidden`, `unsupported_media_type`.",
        examples=["not_found"],
    )
    limit: int | float | None = Field(
        default=None, description="The limit that was exceeded.", examples=[2000]
    )
    request_id: str | None = Field(
        default=None,
        description="The answer's `X-Request-ID`, under which the service's log has more.",
        examples=["7d5c2f6e0b9a4f3c8e1d2a5b6c7f8091"],
    )


class ProblemError(Exception):
    """A refusal that only HTTP knows."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        limit: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = _problem(status, code, detail, limit)
        self.headers = dict(headers or {})


def too_much(detail: str, limit: int) -> ProblemError:
    """422: more is asked for than one answer may have."""
    return ProblemError(422, LIMIT_EXCEEDED, detail, limit=limit)


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
    """Answer what routes raise on purpose with a problem; `api.middleware.failures` answers the rest."""
    for kind in (SoftstoreError, ProblemError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


def answer_to(request: Request, error: Exception) -> Response:
    """The problem that ``error`` is to whoever asked."""
    match error:
        case ProblemError():
            return _response(error.problem, error.headers)
        case SoftstoreError():
            if error.kind is ErrorKind.CORRUPT_DATA:
                _log.error("%s", error)
                exchange_of(request.scope).corrupt = True
            return _response(problem_of(request, error))
        case RequestValidationError():
            detail = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
            return _response(_problem(422, ErrorKind.INVALID_INPUT, detail))
        case HTTPException():
            return _response(_http_problem(request, error), error.headers)
    _log.error("An error nobody foresaw", exc_info=error)
    return _response(
        _problem(500, ErrorKind.ERROR, "The service failed in a way it should not: its log says how.")
    )


def _http_problem(request: Request, error: HTTPException) -> Problem:
    # FastAPI answers a body that is no UTF-8 with 400, other bodies that are no JSON with 422.
    status = 422 if error.status_code == 400 else error.status_code
    detail = str(error.detail)
    if status == 404:
        detail = "There is nothing here; /openapi.json says what there is."
    elif status == 405:
        detail = f"{request.method} is not possible here."
    return _problem(status, _CODES.get(status, ErrorKind.ERROR.value), detail)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can answer with problems of these statuses."""
    return {status: _described(status) for status in statuses}


def _described(status: int) -> dict[str, Any]:
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    if status in _RETRY_AFTER:
        described["headers"] = {
            "Retry-After": {
                "description": "Seconds after which to try again.",
                "required": True,
                "schema": {"type": "integer", "minimum": 0},
                "example": int(_RETRY_AFTER[status]),
            }
        }
    return described


def _problem(status: int, code: str, detail: str, limit: float | None = None) -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, limit=limit)


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    later = _RETRY_AFTER.get(problem.status)
    headers = {**(headers or {}), **({"Retry-After": later} if later else {})}
    told = problem.model_copy(update={"request_id": logs.request_id.get() or None})
    body = orjson.dumps(told.model_dump(exclude_none=True))
    return Response(body, problem.status, headers, media_type=PROBLEM_JSON)
