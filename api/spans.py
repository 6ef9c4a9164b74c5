"""The span of an utterance that an answer is about, and how many frames an answer may have."""

from __future__ import annotations

from api.formats import JSON
from api.limits import JSON_FRAMES, JSON_NUMBERS, NPY_FRAMES
from api.problems import LIMIT_EXCEEDED, ProblemError
from api.queries import SpanQuery
from softstore import Utterance
from softstore.errors import InvalidInputError


def asked_span(utterance: Utterance, query: SpanQuery, media_type: str, numbers: int = 1) -> tuple[int, int]:
    """Start and stop.

    Args:
        numbers: that the answer has for each frame.

    Raises:
        InvalidInputError: the utterance has no such frames.
        ProblemError: 422, more of them than an answer may have.
    """
    start, stop = query.start, utterance.num_frames if query.stop is None else query.stop
    if not start <= stop <= utterance.num_frames:
        raise InvalidInputError(
            f"{utterance.utterance_id} has frames 0 to {utterance.num_frames}, no span {start} to {stop}."
        )
    limit = min(JSON_FRAMES, max(JSON_NUMBERS // numbers, 1)) if media_type == JSON else NPY_FRAMES
    if stop - start > limit:
        raise ProblemError(
            422,
            LIMIT_EXCEEDED,
            f"An answer in {media_type} has at most {limit} frames here, not {stop - start}: ask for spans.",
            limit=limit,
        )
    return start, stop
