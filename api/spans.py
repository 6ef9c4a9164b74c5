"""The span of an utterance that an answer is about, and how many frames an answer may have."""

from __future__ import annotations

from api.formats import JSON
from api.limits import JSON_FRAMES, JSON_NUMBERS, NPY_FRAMES
from api.problems import too_much
from api.queries import SpanQuery
from softstore import Utterance


def asked_span(utterance: Utterance, query: SpanQuery, media_type: str, numbers: int = 1) -> tuple[int, int]:
    """Start and stop.

    Args:
        numbers: that the answer has for each frame.

    Raises:
        InvalidInputError: the utterance has no such frames.
        ProblemError: 422, more of them than an answer may have.
    """
    start, stop = utterance.span(query.start, query.stop)
    limit = min(JSON_FRAMES, max(JSON_NUMBERS // numbers, 1)) if media_type == JSON else NPY_FRAMES
    if stop - start > limit:
        raise too_much(
            f"An answer in {media_type} has at most {limit} frames here, not {stop - start}: ask for spans.",
            limit,
        )
    return start, stop
