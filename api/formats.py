"""The formats of an answer, and which one a client wants."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import orjson
from starlette.responses import JSONResponse

from api.problems import NOT_ACCEPTABLE, ProblemError

JSON = "application/json"
NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


class JsonResponse(JSONResponse):
    """JSON from plain values and NumPy arrays: float32 in the fewest digits that are the same, NaN null."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def binary(description: str) -> dict[str, Any]:
    """A media type of ``content`` in OpenAPI."""
    return {"schema": {"type": "string", "format": "binary", "description": description}}


@lru_cache(maxsize=256)
def negotiate(accept: str | None, offered: tuple[str, ...]) -> str:
    """The media type to answer in (RFC 9110, section 12.5.1); of equally wanted ones the first offered.

    Raises:
        ProblemError: 406, the client accepts none of them.
    """
    ranges = _media_ranges(accept or "*/*")
    wanted = max(offered, key=lambda media_type: _quality(media_type, ranges))
    if _quality(wanted, ranges) <= 0:
        raise ProblemError(
            406, NOT_ACCEPTABLE, f"This is available as {', '.join(offered)}: say so in the Accept header."
        )
    return wanted


def _media_ranges(accept: str) -> dict[str, float]:
    """Quality by media range; what is not well formed is left out."""
    found: dict[str, float] = {}
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            found[media_range] = float(quality)
        except ValueError:
            continue
    return found


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """By the most specific range that matches."""
    kind = media_type.partition("/")[0]
    matching = (ranges.get(media_range) for media_range in (media_type, f"{kind}/*", "*/*"))
    return next((quality for quality in matching if quality is not None), 0.0)


def _plain(value: Any) -> Any:
    """What orjson does not know but a manifest column may hold."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
