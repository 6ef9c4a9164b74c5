"""Nobody waits for ever: neither the service for a body, nor a client for an answer."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware.exchange import Exchange, exchange_of
from api.problems import LIMIT_EXCEEDED, ProblemError


class Patience:
    """Breaks off what is not answered within ``seconds``: a body did not arrive (408), or the answer does not
    begin (503). How fast a client takes an answer is for `api.protocol` to see.

    One look at all requests from time to time is cheaper than a timer for each.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self.app = app
        self._seconds = seconds
        self._tasks: dict[Exchange, asyncio.Task[object]] = {}
        self._looks_in: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        loop = asyncio.get_running_loop()
        if self._looks_in is not loop:
            self._looks_in = loop
            self._look_later(loop)
        self._tasks[exchange] = task
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not exchange.expired:
                raise
            task.uncancel()
            raise self._refusal(exchange) from None
        finally:
            del self._tasks[exchange]

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(min(1.0, self._seconds / 4), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest = time.perf_counter() - self._seconds
        for exchange, task in self._tasks.items():
            if exchange.begun < oldest and not exchange.status and not exchange.expired:
                exchange.expired = True
                task.cancel()
        if self._tasks:
            self._look_later(loop)
        else:
            self._looks_in = None

    def _refusal(self, exchange: Exchange) -> ProblemError:
        seconds = f"{self._seconds:g} seconds"
        if exchange.reading:
            status, detail = 408, f"The body was not there within {seconds}: send it faster, or less of it."
        else:
            status, detail = 503, f"There was no answer within {seconds}: try again later, or ask for less."
        return ProblemError(
            status, LIMIT_EXCEEDED, detail, limit=self._seconds, headers={"Connection": "close"}
        )
