"""Manifest columns of a store that grows: what may be in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from softstore.encoding import is_certificate
from softstore.errors import InvalidInputError
from softstore.manifest import OF_A_SHARD, PLACEMENT

Scalar = str | bool | int | float | None

_TEXTS = ("utterance_id", "speaker", "split", "text")
_OWN = PLACEMENT.keys() | OF_A_SHARD.keys()
_LARGEST_INTEGER = 2**53  # JSON's readers, and columns of integers and fractions, go through float64.


class Columns:
    """Each column holds one kind of value: text, numbers, or true and false; None stands for no value."""

    def __init__(self, schema: pa.Schema | None = None) -> None:
        self._kinds = {field.name: _stored_kind(field.type) for field in schema or ()}

    def check(self, row: Mapping[str, Any]) -> dict[str, Scalar]:
        """One utterance's columns as Python values.

        Raises:
            InvalidInputError: a name that softstore uses itself, a value that is no such scalar, or one of
                another kind than the column's earlier ones.
        """
        whose = f"of utterance {row['utterance_id']!r}"
        checked = {}
        for name, given in row.items():
            if name not in _TEXTS and (name in _OWN or is_certificate(name)):
                raise InvalidInputError(
                    f"The column {name!r} {whose} is softstore's own: name yours otherwise."
                )
            value = given.item() if isinstance(given, np.generic) else given
            expected = "text" if name in _TEXTS else self._kinds.get(name) or _kind(value)
            if _kind(value) != expected and (value is not None or name in _TEXTS):
                raise InvalidInputError(f"The column {name!r} {whose} is to hold {expected}, not {value!r}.")
            if not _storable(value):
                raise InvalidInputError(
                    f"The column {name!r} {whose} cannot hold {value!r}: give text in Unicode, true or "
                    "false, a finite number (integers up to 2^53), or None."
                )
            checked[name] = value
        if not row["utterance_id"]:
            raise InvalidInputError("An utterance has an empty id: name it.")
        return checked

    def keep(self, row: Mapping[str, Scalar]) -> None:
        """From now on, columns hold what they hold in this row."""
        self._kinds |= {name: _kind(value) for name, value in row.items() if value is not None}


def _kind(value: object) -> str | None:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "numbers"
    return "text" if isinstance(value, str) else None


def _stored_kind(kind: pa.DataType) -> str | None:
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "numbers"
    return "text" if pa.types.is_string(kind) else None


def _storable(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "replace").decode() == value
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) <= _LARGEST_INTEGER)
