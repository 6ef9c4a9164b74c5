"""Durations as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """As 12 s, 3:45 min, or 17:05 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600:,}:{whole % 3600 // 60:02} h"
