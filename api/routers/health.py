"""Is the service alive, can it read its stores, and what has it done?"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api import metrics
from api.access import access_of
from api.catalogue import catalogue
from api.models import Health
from api.problems import ProblemError, problem_of, problems
from api.readiness import check_readable
from softstore.errors import ErrorKind, SoftstoreError

router = APIRouter(tags=["service"])

_METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Metrics as text, or as OpenMetrics if Accept says so.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": 'softstore_decoded_frames_total{store="demo"} 1200.0\n',
            },
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    }
}


class Readiness(BaseModel):
    status: Literal["ready"]
    stores: int = Field(description="How many there are; every one was just read from.", examples=[1])


@router.get("/healthz", summary="Whether the service is alive")
async def health() -> Health:
    """Answers as long as the process does; it touches no store."""
    return Health(status="ok")


@router.get("/readyz", summary="Whether every store can be read", responses=problems(503))
async def ready(request: Request) -> Readiness:
    """Reads a little of every store, now. Where that fails or takes two seconds, 503 says which and why.

    A store below the root that has never been in order is left out: the list of stores has its problem.
    """
    stores = list(catalogue(request).values())
    reads = await asyncio.gather(*map(check_readable, stores), return_exceptions=True)
    expected = [(served, error) for served, error in zip(stores, reads, strict=True) if not served.broken]
    failed = [
        _reason(request, served.name, error) for served, error in expected if isinstance(error, BaseException)
    ]
    if failed:
        raise ProblemError(503, ErrorKind.STORAGE.value, " ".join(failed))
    return Readiness(status="ready", stores=len(expected))


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=_METRICS)
def get_metrics(request: Request) -> Response:
    """Requests, latencies, bytes, decoded frames, cache hits and corrupt answers, by route and store.

    Of a service with several workers, those of all together.
    """
    body, media_type = metrics.exposition(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


def _reason(request: Request, name: str, error: BaseException) -> str:
    if not isinstance(error, SoftstoreError):
        raise error
    if not access_of(request.scope).reads(name):
        return "A store that wants a token cannot be read."
    return f"Store {name}: {problem_of(request, error).detail}"
