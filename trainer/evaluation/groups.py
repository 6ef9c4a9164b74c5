"""Which utterances have the same value in a column of the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from softstore.errors import InvalidInputError

USUAL = ("condition", "speaker")
"""Columns by which utterances are told apart unless others are asked for."""

MOST_GROUPS = 100_000
"""Values of one column."""


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """The values of a column.

    Attributes:
        values: sorted; as text.
        of_utterance: the number of each utterance's value, (utterances,), int64.
    """

    column: str
    values: list[str]
    of_utterance: Tensor

    def utterances(self) -> list[int]:
        """How many each value has."""
        counts: list[int] = self.of_utterance.bincount(minlength=len(self.values)).tolist()
        return counts


def groups_of(utterances: pa.Table, columns: Sequence[str] | None) -> list[Groups]:
    """The groups of utterances by each of some columns.

    Args:
        columns: None: those of `USUAL` that say something.

    Raises:
        InvalidInputError: there is no such column, or it has no values to go by, or too many.
    """
    if columns is None:
        usual = [name for name in USUAL if name in utterances.column_names]
        columns = [name for name in usual if set(utterances[name].unique().to_pylist()) - {None, ""}]
    return [_groups(utterances, column) for column in dict.fromkeys(columns)]


def _groups(utterances: pa.Table, column: str) -> Groups:
    if column not in utterances.column_names:
        raise InvalidInputError(
            f"There is no manifest column {column!r}; there are {', '.join(utterances.column_names)}."
        )
    if pa.types.is_nested(utterances.schema.field(column).type):
        raise InvalidInputError(f"The manifest column {column!r} holds lists, no values to tell apart.")
    encoded = pc.dictionary_encode(utterances[column].combine_chunks(), null_encoding="encode")
    found = encoded.dictionary.to_pylist()
    if len(found) > MOST_GROUPS:
        raise InvalidInputError(
            f"The manifest column {column!r} has {len(found):,} values, more than the {MOST_GROUPS:,} that "
            "can be told apart: name another one."
        )
    order = sorted(range(len(found)), key=lambda code: (found[code] is None, found[code]))
    rank = torch.empty(len(order), dtype=torch.int64)
    rank[torch.tensor(order, dtype=torch.int64)] = torch.arange(len(order))
    codes = torch.from_numpy(encoded.indices.to_numpy().astype("int64"))
    return Groups(column, [_name(found[code]) for code in order], rank[codes])


def _name(value: object) -> str:
    return "(none)" if value is None else str(value)
