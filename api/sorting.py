"""The first rows by a column, without sorting the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from api.rows import Rows, comparable, true_where
from softstore.errors import InvalidInputError


def check_sortable(schema: pa.Schema, column: str) -> None:
    """Raises `InvalidInputError` if there is no such column, or its values have no order."""
    if column not in schema.names:
        raise InvalidInputError(
            f"sort: there is no manifest column {column!r}; there are {', '.join(schema.names)}."
        )
    kind = schema.field(column).type
    ordered = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string)
    if not any(is_kind(kind) for is_kind in ordered):
        raise InvalidInputError(f"sort: the manifest column {column!r} holds {kind}, which has no order.")


def best_rows(
    rows: Rows,
    masks: Iterator[NDArray[np.bool_]],
    column: str,
    falling: bool,
    after: int | None,
    limit: int,
) -> tuple[NDArray[np.int64], int]:
    """The numbers of the first ``limit`` rows that match, and how many match.

    Rows without a value, or with NaN, come last; among equals stored order decides.

    Args:
        masks: which rows of each batch match.
        after: only rows that come after the one with this number.
    """
    last = None if after is None else comparable(rows.take(np.array([after])).to_batches()[0][column])[0]
    best = pa.table({"key": pa.array([], _key_type(rows.schema, column)), "number": pa.array([], pa.int64())})
    total = 0
    for batch, start, mask in zip(rows.batches, rows.starts.tolist(), masks, strict=True):
        total += int(np.count_nonzero(mask))
        keys, numbers = comparable(batch[column]), np.arange(start, start + len(batch))
        if after is not None and last is not None:
            mask = mask & _comes_after(keys, numbers, last, after, falling)
        chosen = pa.table({"key": keys, "number": numbers}).filter(pa.array(mask))
        best = _first(pa.concat_tables([best, chosen]), falling, limit)
    return best["number"].to_numpy(), total


def _first(table: pa.Table, falling: bool, limit: int) -> pa.Table:
    order = [("key", "descending" if falling else "ascending"), ("number", "ascending")]
    return table.take(pc.select_k_unstable(table, min(limit, len(table)), order)) if len(table) else table


def _comes_after(
    keys: pa.Array, numbers: NDArray[np.int64], last: pa.Scalar, after: int, falling: bool
) -> NDArray[np.bool_]:
    missing = true_where(keys.is_null())
    later: NDArray[np.bool_] = numbers > after
    if not last.is_valid:
        return np.where(missing, later, False)
    beyond = true_where(pc.less(keys, last) if falling else pc.greater(keys, last))
    same = true_where(pc.equal(keys, last))
    return np.where(same, later, beyond | missing)


def _key_type(schema: pa.Schema, column: str) -> pa.DataType:
    kind = schema.field(column).type
    return pa.int8() if pa.types.is_boolean(kind) else kind
