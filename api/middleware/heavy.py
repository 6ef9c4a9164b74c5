"""Requests that decode frames take turns, so that small answers always find a free thread."""

from __future__ import annotations

import asyncio
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import LIMIT_EXCEEDED, ProblemError

HEAVY = re.compile(
    r"/v1/(?:stores/[^/]+/(?:batch|utterances/.+/(?:posteriors|statistics|divergence))|ensembles?(?:/.*)?)"
)
"""Paths, below the root path and as sent, of what decodes frames."""


class Heavy:
    """Lets ``running`` of them decode at a time and ``waiting`` more wait; others are to come back (429).

    While a client takes a piece of an answer, the next request has its turn.
    """

    def __init__(self, app: ASGIApp, *, running: int, waiting: int) -> None:
        self.app = app
        self._turns = asyncio.Semaphore(running)
        self._under_way = 0
        self._limit = running + waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not HEAVY.fullmatch(scope["path"], len(scope.get("root_path", ""))):
            await self.app(scope, receive, send)
            return
        if self._under_way >= self._limit:
            raise ProblemError(
                429,
                LIMIT_EXCEEDED,
                f"No more than {self._limit} requests for decoded frames may be under way: try again soon.",
                limit=self._limit,
            )
        self._under_way += 1
        try:
            await self._take_turn(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _take_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._turns.acquire()
        has_turn = True

        async def sent_between_turns(message: Message) -> None:
            nonlocal has_turn
            if message["type"] != "http.response.body":
                await send(message)
                return
            has_turn = False
            self._turns.release()
            await send(message)
            if message.get("more_body", False):
                await self._turns.acquire()
                has_turn = True

        try:
            await self.app(scope, receive, sent_between_turns)
        finally:
            if has_turn:
                self._turns.release()
