"""A span for every request, for whoever has OpenTelemetry; who gets the spans, the process decides.

Configure OpenTelemetry as its SDK says, for example by ``opentelemetry-instrument softstore serve …``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from starlette.types import Scope

from softstore import __version__
from softstore.errors import MissingDependencyError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider


class Tracing:
    """Makes spans; they go on from where a client's ``traceparent`` header says.

    Args:
        provider: None: the process's own.

    Raises:
        MissingDependencyError: opentelemetry-api is not installed.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import propagate, trace
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "Spans need OpenTelemetry, which is not installed: pip install opentelemetry-sdk, or turn "
                "tracing off."
            ) from error
        self._extract = propagate.extract
        self._kind = trace.SpanKind.SERVER
        self._failed = trace.Status(trace.StatusCode.ERROR)
        self._tracer = trace.get_tracer("softstore", __version__, provider)

    def span(self, scope: Scope) -> AbstractContextManager[Span]:
        """A span while the context lasts."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        return self._tracer.start_as_current_span(
            scope["method"], self._extract(carrier), self._kind, attributes
        )

    def answered(self, span: Span, method: str, route: str, status: int, store: str) -> None:
        """Say what became of the request; ``store`` is empty where the route has none."""
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {"http.route": route, "http.response.status_code": status, "softstore.store": store}
        )
        if status >= 500:
            span.set_status(self._failed)
