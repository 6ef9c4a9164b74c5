"""Conditions on columns of the manifest: ``split=cv``, ``num_frames[gte]=100``, ``snr_db[ne]=5``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from api.rows import comparable, true_where
from softstore.errors import InvalidInputError

_Compare = Callable[[Any, pa.Scalar], Any]

COMPARISONS: Mapping[str, _Compare] = {
    "gt": pc.greater,
    "gte": pc.greater_equal,
    "lt": pc.less,
    "lte": pc.less_equal,
    "ne": pc.not_equal,
}
"""By the name that stands in brackets behind a column's."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Attributes:
    compare: None: the column equals one of the values; else it compares so with each of them.
    values: as `api.rows.comparable` makes them of the column's type.
    """

    column: str
    compare: _Compare | None
    values: Sequence[pa.Scalar]

    def where(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Which rows meet it: as in SQL, none without a value; NaN is none."""
        column = comparable(batch[self.column])
        masks = [true_where((self.compare or pc.equal)(column, value)) for value in self.values]
        met: NDArray[np.bool_]
        met = np.logical_or.reduce(masks) if self.compare is None else np.logical_and.reduce(masks)
        return met


def condition_of(schema: pa.Schema, parameter: str, texts: Sequence[str]) -> Condition:
    """What a parameter, ``column`` or ``column[comparison]``, and its values ask for.

    Raises:
        InvalidInputError: there is no such column or comparison, or a value that its type does not have.
    """
    column, compare = _named(schema, parameter)
    if column not in schema.names:
        raise InvalidInputError(
            f"There is no manifest column {column!r}; there are {', '.join(schema.names)}."
        )
    kind = schema.field(column).type
    return Condition(column, compare, [_value(column, kind, compare, text) for text in texts])


def _named(schema: pa.Schema, parameter: str) -> tuple[str, _Compare | None]:
    column, _, name = parameter.removesuffix("]").rpartition("[")
    # A column may have brackets in its own name.
    if parameter in schema.names or not parameter.endswith("]") or not column:
        return parameter, None
    if name not in COMPARISONS:
        raise InvalidInputError(
            f"{parameter}: there is no comparison {name!r}; there are {', '.join(COMPARISONS)}, and "
            "equality without brackets."
        )
    return column, COMPARISONS[name]


def _value(column: str, kind: pa.DataType, compare: _Compare | None, text: str) -> pa.Scalar:
    try:
        value = comparable(pa.array([text], pa.string()).cast(kind))[0]
        # Some types have no order.
        (compare or pc.equal)(comparable(pa.nulls(0, kind)), value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The manifest column {column} ({kind}) cannot be compared with {text!r}."
        ) from error
    return value
