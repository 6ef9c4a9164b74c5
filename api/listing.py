"""Pages of utterances: which match, in which order, and where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from api.conditions import condition_of
from api.rows import Rows, is_large, rows_of, true_where
from api.sorting import best_rows, check_sortable
from softstore import Store
from softstore.errors import InvalidInputError
from softstore.manifest import Piece, join
from softstore.parts import iter_parts

_SEARCHED = ("utterance_id", "speaker", "text")
_TAG_BYTES = 6
_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which utterances, in which order.

    Attributes:
        conditions: the values, as text, by ``column`` or ``column[comparison]``; see `api.conditions`.
        search: in id, speaker or text, in upper or lower case.
        sort: a column, rising, or falling after ``-``; None: stored order.
    """

    conditions: Mapping[str, Sequence[str]]
    search: str | None = None
    sort: str | None = None

    @property
    def everything(self) -> bool:
        return not self.conditions and self.search is None

    def tag(self) -> bytes:
        conditions = sorted((name, sorted(values)) for name, values in self.conditions.items())
        asked = repr((conditions, self.search, self.sort))
        return blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=_TAG_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Page:
    """Attributes:
    total: rows on all pages together, if it was asked for.
    next_cursor: None on the last page.
    """

    rows: pa.Table
    total: int | None
    next_cursor: str | None


def page(store: Store, wanted: Wanted, limit: int, cursor: str | None, count: bool) -> Page:
    """The first ``limit`` rows after ``cursor``.

    A cursor is the first frame of the last row, which says all else of it: rows never change. So it stays
    what it is when shards are published meanwhile, even out of order.

    Raises:
        InvalidInputError: no such column or comparison, a value its type does not have, a column that cannot
            be sorted by, or a cursor that is not of this query.
        CorruptDataError: the manifest is damaged.
    """
    after = None if cursor is None else _first_frame(cursor, wanted)
    if wanted.everything and wanted.sort is None and is_large(store):
        found = _from_parts(store, after, limit + 1)
        return _page(found, len(store) if count else None, wanted, limit)
    rows = rows_of(store)
    if wanted.sort is None:
        numbers, total = _in_order(rows, wanted, after, limit + 1, count)
    else:
        column = wanted.sort.removeprefix("-")
        check_sortable(rows.schema, column)
        last = None if after is None else rows.find(after)
        if after is not None and last is None:
            raise _foreign()
        masks = _masks(rows, wanted)
        falling = wanted.sort.startswith("-")
        numbers, total = best_rows(rows, masks, column, falling, last, limit + 1)
    return _page(rows.take(numbers), total if count else None, wanted, limit)


def _page(found: pa.Table, total: int | None, wanted: Wanted, limit: int) -> Page:
    rows = found.slice(0, limit)
    if len(found) <= limit:
        return Page(rows, total, None)
    last = int(rows["first_frame"][-1].as_py())
    packed = wanted.tag() + last.to_bytes(_NUMBER_BYTES, "big")
    return Page(rows, total, base64.urlsafe_b64encode(packed).rstrip(b"=").decode())


def _first_frame(cursor: str, wanted: Wanted) -> int:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _foreign() from None
    if len(packed) != _TAG_BYTES + _NUMBER_BYTES or packed[:_TAG_BYTES] != wanted.tag():
        raise _foreign()
    number = int.from_bytes(packed[_TAG_BYTES:], "big")
    if number >= 1 << 63:
        raise _foreign()
    return number


def _foreign() -> InvalidInputError:
    return InvalidInputError(
        "The cursor is not one that this service gave for this query: start without one."
    )


def _in_order(
    rows: Rows, wanted: Wanted, after: int | None, limit: int, count: bool
) -> tuple[NDArray[np.int64], int]:
    """The numbers of the first rows, and how many there are; if nobody counts, of what was looked at."""
    found: list[NDArray[np.int64]] = []
    missing, total = limit, 0
    for number, mask in enumerate(_masks(rows, wanted)):
        total += int(np.count_nonzero(mask))
        if missing:
            if after is not None:
                mask = mask & (rows.batches[number]["first_frame"].to_numpy() > after)
            found.append(np.flatnonzero(mask)[:missing] + rows.starts[number])
            missing -= len(found[-1])
        elif not count:
            break
    return np.concatenate([np.empty(0, np.int64), *found]), total


def _from_parts(store: Store, after: int | None, limit: int) -> pa.Table:
    """The first rows of all, from the parts that have them."""
    shard = 0 if after is None else after // store.attributes.shard_frames
    before = [(0, shard - 1)] if shard else []
    found: list[pa.Table] = []
    missing = limit
    for part in iter_parts(store.frames.storage, store.attributes, known=before):
        table = Piece.of(part).utterances
        if after is not None:
            table = table.filter(pc.greater(table["first_frame"], after))
        found.append(table.slice(0, missing))
        missing -= len(found[-1])
        if not missing:
            break
    return join(found) if found else Piece.of(join([])).utterances


def _masks(rows: Rows, wanted: Wanted) -> Iterator[NDArray[np.bool_]]:
    """Which rows match, batch by batch."""
    conditions = [condition_of(rows.schema, *asked) for asked in wanted.conditions.items()]
    for batch in rows.batches:
        mask = np.ones(len(batch), np.bool_)
        for condition in conditions:
            mask &= condition.where(batch)
        if wanted.search is not None and mask.any():
            searched = [
                true_where(pc.match_substring(batch[column], wanted.search, ignore_case=True))
                for column in _SEARCHED
            ]
            mask &= np.logical_or.reduce(searched)
        yield mask
