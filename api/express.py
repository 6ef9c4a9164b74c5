"""Answers that are ready, given without any layer or task: `api.express_protocol` writes them at once.

What the layers see to, is seen to here or left to them: whoever asks is known, the answer has its id and is
counted and logged. Whatever is refused, waits, or wants more than ready bytes, goes through the layers.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import Scope

from api.auth import Admission
from api.lean import LeanRoutes, Whole
from api.middleware.exchange import Exchange
from api.observer import Observer, request_id_of

STATE = "softstore.express"
"""Where the server's protocol finds it in the state of the application's lifespan."""


class Express:
    """Args:
    admission: None: no tokens are asked for.
    """

    def __init__(
        self, app: FastAPI, routes: LeanRoutes, observer: Observer, admission: Admission | None
    ) -> None:
        self._app = app
        self._routes = routes
        self._observer = observer
        self._admission = admission

    def answer(self, scope: Scope, body: bytes) -> Whole | None:
        """What the layers would send, if it is ready; None otherwise.

        Args:
            scope: of ASGI, with the path as it was sent.
        """
        _, ready = self._routes.find(scope) or (None, None)
        if ready is None:
            return None
        headers = scope["headers"]
        exchange = Exchange(request_id_of(headers))
        scope["app"] = self._app
        try:
            if self._admission is not None:
                self._admission.admit(scope)
            found = ready(scope, body)
        except Exception:
            return None  # and it fails again where that is answered
        if found is None:
            return None
        exchange.status = found.status
        exchange.sent_bytes = len(found.body)
        exchange.finished = True
        self._observer.note(scope, exchange)
        request_id = b"x-request-id: %b\r\n" % exchange.request_id.encode()
        return Whole(found.status, found.head + request_id, found.body)
