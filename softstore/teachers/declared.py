"""What an object says of itself in attributes, checked: whether it becomes a teacher or is one."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from softstore.errors import InvalidInputError


def capture_temperature(of: object) -> float:
    """The temperature at which its posteriors are captured: its attribute of that name, or 1.

    Raises:
        InvalidInputError: it is no finite number above 0.
    """
    return checked_temperature(getattr(of, "capture_temperature", 1.0), "The teacher")


def checked_temperature(value: object, who: str) -> float:
    """As `capture_temperature`, of a value that ``who`` declares."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise InvalidInputError(
            f"{who} declares the capture temperature {value!r}: it must be a finite number above 0."
        )
    return float(value)  # type: ignore[arg-type]


def at_temperature(fingerprint: str, temperature: float) -> str:
    """The fingerprint of one whose answers are captured at this temperature: another one unless it is 1."""
    if temperature == 1:
        return fingerprint
    return hashlib.sha256(f"{fingerprint} captured at T = {temperature!r}".encode()).hexdigest()


def class_count(of: object, who: str) -> int | None:
    """Its attribute of that name; None if it has none.

    Raises:
        InvalidInputError: it is no whole number above 0.
    """
    value = getattr(of, "class_count", None)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidInputError(
            f"{who} declares the class_count {value!r}: it must be a whole number above 0."
        )
    return value


def fingerprint(of: object, who: str) -> str | None:
    """Its attribute of that name; None if it has none.

    Raises:
        InvalidInputError: it is no text.
    """
    value = getattr(of, "fingerprint", None)
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidInputError(f"{who} declares the fingerprint {value!r}: it must be a text.")
    return value


def description(of: object, who: str) -> Mapping[str, Any]:
    """Its attribute of that name, a mapping to JSON values or a text; nothing if it has none.

    Raises:
        InvalidInputError: it is something else.
    """
    value = getattr(of, "description", {})
    if isinstance(value, str):
        return {"description": value}
    try:
        if isinstance(value, Mapping):
            json.dumps(dict(value), allow_nan=False)
            return value
    except (TypeError, ValueError):
        pass
    raise InvalidInputError(f"{who} declares a description that is no text and no JSON values: {value!r}.")
