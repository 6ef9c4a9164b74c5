"""The utterances of a split as columns of numbers, over one store or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.format import FIRST_OVERFLOW, NUM_OVERFLOW
from softstore.runs import cut_runs, occupied
from trainer.examples import RUN_FRAMES, Examples, Place

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Utterances:
    """All utterances that have frames, in stored order, store after store; arrays of shape (utterances,).

    Attributes:
        ids: their names; two stores may have the same.
        source: which store each is in.
        run: which run of neighbours each is in, counted through all stores.
        first_frame, num_frames, first_overflow, num_overflow: as of `trainer.examples.Place`.
    """

    ids: pa.ChunkedArray
    source: Numbers
    run: Numbers
    first_frame: Numbers
    num_frames: Numbers
    first_overflow: Numbers
    num_overflow: Numbers

    @classmethod
    def of(cls, sources: Sequence[Examples], split: str) -> Utterances:
        """Raises `InvalidInputError` if a store has no frames in the split."""
        parts: list[tuple[Numbers, ...]] = []
        ids: list[pa.ChunkedArray] = []
        runs = 0
        for number, examples in enumerate(sources):
            examples.num_frames(split)
            table = examples.frames.manifest.where(split=split)
            lengths = table["num_frames"].to_numpy().astype(np.int64)
            some = lengths > 0
            lengths, firsts = lengths[some], table["first_frame"].to_numpy()[some]
            stops = firsts + occupied(lengths, examples.attributes.block_frames)
            begins = np.zeros(len(lengths), np.int64)
            begins[cut_runs(firsts, stops, examples.attributes.shard_frames, RUN_FRAMES)] = 1
            run = runs - 1 + begins.cumsum()
            runs = int(run[-1]) + 1
            overflow = (_column(table, name)[some] for name in (FIRST_OVERFLOW, NUM_OVERFLOW))
            parts.append((np.full(len(lengths), number), run, firsts, lengths, *overflow))
            ids.append(table["utterance_id"].filter(pa.array(some)))
        named = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
        return cls(named, *(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def __len__(self) -> int:
        return len(self.num_frames)

    @property
    def runs(self) -> int:
        return int(self.run[-1]) + 1

    def places(self, start: int, stop: int) -> list[Place]:
        """Where some utterances of one store lie."""
        numbers = (self.first_frame, self.num_frames, self.first_overflow, self.num_overflow)
        columns = (column[start:stop].tolist() for column in numbers)
        ids = self.ids.slice(start, stop - start).to_pylist()
        return [Place(*values) for values in zip(ids, *columns, strict=True)]


def _column(table: pa.Table, name: str) -> Numbers:
    """A column of integers, 0 where there is none."""
    if name not in table.column_names:
        return np.zeros(len(table), np.int64)
    return np.asarray(table[name].fill_null(0).to_numpy()).astype(np.int64)
