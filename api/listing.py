"""One page of a manifest: which rows match, and where the next page begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from softstore.errors import InvalidInputError
from softstore.manifest import Manifest

_CURSOR = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in stored order.

    Attributes:
        total: rows on all pages together.
        next_cursor: None on the last page.
    """

    rows: list[dict[str, Any]]
    total: int
    next_cursor: str | None


def page(manifest: Manifest, equals: Mapping[str, Any], limit: int, cursor: str | None) -> Page:
    """The first ``limit`` rows after ``cursor`` whose columns equal the values given as text.

    A cursor is the last row's first frame: it stays what it is when shards are published meanwhile, even
    out of order.

    Raises:
        InvalidInputError: no such column, a value its type does not have, or a cursor not one of ours.
    """
    table = manifest.where(**_typed(manifest, equals))
    first_frames = table["first_frame"].to_numpy()
    begin = _after(first_frames, cursor) if cursor is not None else 0
    rows = table.slice(begin, limit).to_pylist()
    end = begin + len(rows)
    if end >= len(table):
        return Page(rows, len(table), None)
    return Page(rows, len(table), str(first_frames[end - 1]))


def _after(first_frames: np.ndarray[Any, np.dtype[np.int64]], cursor: str) -> int:
    if not _CURSOR.fullmatch(cursor):
        raise InvalidInputError("The cursor is not one that this service gave: start without one.")
    return int(np.searchsorted(first_frames, int(cursor), side="right"))


def _typed(manifest: Manifest, equals: Mapping[str, Any]) -> dict[str, pa.Scalar]:
    """Each value in the type of its column."""
    schema = manifest.table.schema
    typed = {}
    for column, text in equals.items():
        if column not in schema.names:
            raise InvalidInputError(
                f"There is no manifest column {column!r}; there are {', '.join(schema.names)}."
            )
        kind = schema.field(column).type
        try:
            typed[column] = pa.scalar(text, pa.string()).cast(kind)
        except (pa.ArrowException, TypeError) as error:
            raise InvalidInputError(
                f"The manifest column {column} ({kind}) cannot be compared with {text!r}."
            ) from error
    return typed
