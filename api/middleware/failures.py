"""Whatever fails inside is answered with a problem, or breaks off an answer that has begun."""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.exchange import exchange_of
from api.problems import ProblemError, answer_to
from softstore.errors import CorruptDataError, SoftstoreError

_log = logging.getLogger(__name__)


class Failures:
    """An answer that breaks off stays unfinished: the server closes the connection, and no client can take
    it for whole."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            if scope["type"] != "http":
                raise
            exchange = exchange_of(scope)
            if not exchange.status:
                await answer_to(Request(scope), error)(scope, receive, send)
                return
            # Starlette wraps what a handler would have answered.
            reason = error.__cause__ or error
            exchange.corrupt = isinstance(reason, CorruptDataError)
            expected = isinstance(reason, (SoftstoreError, ProblemError))
            _log.error("An answer was broken off: %s", reason, exc_info=None if expected else reason)
