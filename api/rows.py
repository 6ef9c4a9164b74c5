"""The rows of a store's manifest, for questions about all of them.

The manifest of a store with an index of ids may not fit into memory. It is written once into a temporary file
without a name, and mapped: the system keeps in memory what there is room for, and forgets it as it likes.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from api.once import Once
from softstore import Store
from softstore.errors import StorageError
from softstore.manifest import Manifest, Piece, join
from softstore.parts import iter_whole

_BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Rows:
    """Utterances in stored order, without the columns of whole shards.

    Attributes:
        batches: all of one schema.
        starts: the number of the first row of each.
    """

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, table: pa.Table) -> Rows:
        batches = table.to_batches(max_chunksize=_BATCH_ROWS)
        return cls(table.schema, batches, np.cumsum([0, *map(len, batches)])[:-1])

    def take(self, numbers: NDArray[np.int64]) -> pa.Table:
        """The rows with these numbers, in this order."""
        holders = np.searchsorted(self.starts, numbers, side="right") - 1
        order = np.argsort(holders, kind="stable")
        found = [
            self.batches[holder].take(pa.array(numbers[holders == holder] - self.starts[holder]))
            for holder in np.unique(holders).tolist()
        ]
        table = pa.Table.from_batches(found, self.schema).combine_chunks()
        return table.take(pa.array(np.argsort(order)))

    def find(self, first_frame: int) -> int | None:
        """The number of the row that begins there; None if none does."""
        firsts = [batch["first_frame"][0].as_py() for batch in self.batches]
        holder = int(np.searchsorted(firsts, first_frame, side="right")) - 1
        if holder < 0:
            return None
        column = self.batches[holder]["first_frame"].to_numpy()
        place = int(np.searchsorted(column, first_frame))
        there = place < len(column) and int(column[place]) == first_frame
        return int(self.starts[holder]) + place if there else None


def true_where(mask: pa.Array) -> NDArray[np.bool_]:
    """A mask as NumPy; what is null is not true."""
    found: NDArray[np.bool_] = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return found


def comparable(column: pa.Array) -> pa.Array:
    """Values as they are compared and sorted: NaN is null, true and false are 1 and 0 (int8)."""
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column


def is_large(store: Store) -> bool:
    """Whether the manifest is left where it lies."""
    return not isinstance(store.frames.lookup, Manifest)


def rows_of(store: Store) -> Rows:
    """All rows; the first time of a large store takes seconds for every million.

    Raises:
        CorruptDataError: a part is damaged or gone.
        StorageError: the temporary directory has no room for about 200 bytes an utterance.
    """
    return _rows(store)


def _make(store: Store) -> Rows:
    return Rows.of(_mapped(store) if is_large(store) else store.manifest.table)


_rows = Once(_make)


def _mapped(store: Store) -> pa.Table:
    try:
        with tempfile.TemporaryFile() as file:
            ends = [0]
            for table in _pieces(store):
                with pa.ipc.new_stream(file, table.schema) as writer:
                    writer.write_table(table)
                ends.append(file.tell())
            file.flush()
            if not ends[-1]:
                return Piece.of(join([])).utterances
            memory = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise StorageError(
            f"Could not keep the manifest of {store.url} in a temporary file ({error.strerror}): make room "
            "for 200 bytes an utterance, or name another directory with TMPDIR."
        ) from error
    streams = (memory.slice(begin, end - begin) for begin, end in pairwise(ends))
    return join([pa.ipc.open_stream(stream).read_all() for stream in streams])


def _pieces(store: Store) -> Iterator[pa.Table]:
    """The whole manifest, so much at a time that columns are worked on at full speed."""
    held: list[pa.Table] = []
    for part in iter_whole(store.frames.storage, store.attributes):
        held.append(Piece.of(part).utterances)
        if sum(map(len, held)) >= _BATCH_ROWS:
            yield join(held).combine_chunks()
            held = []
    if held:
        yield join(held).combine_chunks()
