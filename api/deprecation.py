"""How a route, or a version of all, is retired: it says so in every answer, and until when it is there.

One entry in `DEPRECATED` does it. Answers then have ``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594) and
``Link: <…>; rel="successor-version"``, and the OpenAPI document marks the operations as deprecated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware.exchange import route_of


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Attributes:
    since: the first day that it was deprecated.
    sunset: the day that it goes away; at least a year later.
    successor: path of what takes its place.
    """

    since: date
    sunset: date
    successor: str

    def headers(self) -> list[tuple[bytes, bytes]]:
        since, sunset = (datetime.combine(day, time(), UTC) for day in (self.since, self.sunset))
        return [
            (b"deprecation", f"@{int(since.timestamp())}".encode()),
            (b"sunset", format_datetime(sunset, usegmt=True).encode()),
            (b"link", f'<{self.successor}>; rel="successor-version"'.encode()),
        ]


DEPRECATED: Mapping[str, Deprecation] = {}
"""By route template, or by what several begin with: ``"/v1/"`` on the day that there is a second version."""


class Deprecations:
    """The layer that adds the headers; `api.app` has it only while something is deprecated."""

    def __init__(self, app: ASGIApp, *, deprecated: Mapping[str, Deprecation]) -> None:
        self.app = app
        self._headers = {prefix: deprecation.headers() for prefix, deprecation in deprecated.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = route_of(scope)
                for prefix, headers in self._headers.items():
                    if route.startswith(prefix):
                        message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self.app(scope, receive, marked)


def mark_operations(document: dict[str, Any], deprecated: Mapping[str, Deprecation]) -> None:
    """Say so in an OpenAPI document."""
    for path, operations in document["paths"].items():
        if path.startswith(tuple(deprecated)):
            for operation in operations.values():
                operation["deprecated"] = True
