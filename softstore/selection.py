"""Utterances chosen by their manifest columns, as a sequence that has read no frames yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

import pyarrow as pa
import pyarrow.compute as pc

from softstore.errors import InvalidInputError
from softstore.utterance import Utterance

U = TypeVar("U", bound=Utterance, covariant=True)

_BATCH_ROWS = 4096


class Selection(Sequence[U], Generic[U]):
    """Some utterances of a collection, in stored order; an index gives an utterance, a slice a `Selection`.

    Attributes:
        table: their manifest rows, as Arrow.
    """

    def __init__(self, table: pa.Table, utterance: Callable[[Mapping[str, Any]], U]) -> None:
        self.table = table
        self._utterance = utterance

    @property
    def ids(self) -> list[str]:
        return list(self.table["utterance_id"].to_pylist())

    @property
    def num_frames(self) -> int:
        """Frames of all of them together."""
        return int(self.table["num_frames"].to_numpy().sum())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> U: ...
    @overload
    def __getitem__(self, index: slice) -> Selection[U]: ...
    def __getitem__(self, index: int | slice) -> U | Selection[U]:
        rows = range(len(self))[index]
        if isinstance(rows, range):
            table = self.table.slice(rows.start, len(rows)) if rows.step == 1 else self.table.take(list(rows))
            return Selection(table, self._utterance)
        return self._utterance(self.table.slice(rows, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[U]:
        for batch in self.table.to_batches(max_chunksize=_BATCH_ROWS):
            yield from map(self._utterance, batch.to_pylist())

    def __repr__(self) -> str:
        return f"<{len(self):,} utterances, {self.num_frames:,} frames>"


def select(table: pa.Table, where: pc.Expression | None, equals: Mapping[str, Any]) -> pa.Table:
    """The rows that fulfil all conditions.

    Args:
        where: a condition on columns, such as ``pc.field("snr_db") < 10``.
        equals: a value by column, or several of which it must be one; None stands for no value.

    Raises:
        InvalidInputError: there is no such column, or it holds another type.
    """
    for column, wanted in equals.items():
        if column not in table.column_names:
            raise InvalidInputError(f"There is no manifest column {column!r}; {_columns(table)}.")
        kind = table.schema.field(column).type
        table = table.filter(pc.is_in(table[column], _values(column, kind, wanted)))
    if where is None:
        return table
    if not isinstance(where, pc.Expression):
        raise InvalidInputError(
            f"A condition is an expression such as pyarrow.compute.field('num_frames') < 500, not {where!r}."
        )
    try:
        return table.filter(where)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The condition {where} does not fit the manifest: {_columns(table)}."
        ) from error


def _values(column: str, kind: pa.DataType, wanted: Any) -> pa.Array:
    one = isinstance(wanted, str | bytes | Mapping | pa.Scalar) or not isinstance(wanted, Iterable)
    asked = [
        value.as_py() if isinstance(value, pa.Scalar) else value for value in ([wanted] if one else wanted)
    ]
    try:
        values = pa.array(asked, kind)
        # Arrow takes 2.5 for the integer 2 and b"x" for "x": those are not what was asked for.
        fits = all(
            ours == theirs or theirs != theirs for ours, theirs in zip(values.to_pylist(), asked, strict=True)
        )
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        fits = False
    if not fits:
        raise InvalidInputError(f"The manifest column {column!r} holds {kind}, which {wanted!r} is not.")
    return values


def _columns(table: pa.Table) -> str:
    return f"there are {', '.join(f'{field.name} ({field.type})' for field in table.schema)}"
