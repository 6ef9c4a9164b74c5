"""Is the service alive?"""

from __future__ import annotations

from fastapi import APIRouter

from api.models import Health

router = APIRouter(tags=["service"])


@router.get("/healthz", summary="Whether the service is alive")
async def health() -> Health:
    """Answers as long as the process does; it touches no store."""
    return Health(status="ok")
