"""Conditional and partial requests (RFC 9110, sections 13 and 14), as far as whole objects need them."""

from __future__ import annotations

import re

from api.problems import RANGE_NOT_SATISFIABLE, ProblemError

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, length) of the one range asked for; None for the whole object.

    Several ranges, other units and malformed headers are answered with the whole object, as the RFC allows.

    Raises:
        ProblemError: 416, the range lies beyond the object.
    """
    if not header:
        return None
    match = _RANGE.fullmatch(header) or _RANGE.fullmatch(header.replace(" ", "").lower())
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise ProblemError(
            416,
            RANGE_NOT_SATISFIABLE,
            f"The object has {size} bytes; there are none in the range asked for.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop - start


def matches(header: str | None, etag: str | None) -> bool:
    """Whether an If-None-Match header names ``etag``."""
    if not header or etag is None:
        return False
    named = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in named or etag in named
