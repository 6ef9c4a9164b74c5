"""What stores and corpora have in common: utterances by id, in order, and by manifest column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from softstore.errors import NotFoundError
from softstore.format import Attributes
from softstore.frames import Frames
from softstore.manifest import Manifest, ShardObject
from softstore.runs import scan_runs
from softstore.selection import Selection, select
from softstore.utterance import Utterance

U = TypeVar("U", bound=Utterance)


class Collection(ABC, Generic[U]):
    """Utterances as published when they were opened.

    ``collection[utterance_id]`` is an utterance; ``len`` and ``in`` work as for a dict.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    @abstractmethod
    def _utterance(self, row: Mapping[str, Any]) -> U: ...

    @property
    def url(self) -> str:
        return self.frames.storage.url

    @property
    def attributes(self) -> Attributes:
        return self.frames.attributes

    @property
    def class_count(self) -> int:
        """Senones: the width of a row of posteriors."""
        return self.attributes.class_count

    @property
    def manifest(self) -> Manifest:
        """All of it; a single utterance of a large store is found without."""
        return self.frames.manifest

    def __len__(self) -> int:
        return len(self.frames.lookup)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self.frames.lookup

    def __getitem__(self, utterance_id: str) -> U:
        """Raises `NotFoundError` if there is no such utterance."""
        try:
            row = self.frames.lookup.row(utterance_id)
        except KeyError:
            raise NotFoundError(f"{self.url} has no utterance {utterance_id!r}.") from None
        return self._utterance(row)

    def utterances(self, where: pc.Expression | None = None, /, **equals: Any) -> Selection[U]:
        """Utterances in stored order, chosen by their manifest columns; no frames are read.

            store.utterances(split="cv")
            store.utterances(speaker=["anna", "ben"])
            store.utterances(pc.field("snr_db") < 10, split="cv")        # import pyarrow.compute as pc

        Args:
            where: a condition on columns.
            equals: a value by column, or several of which it must be one; None stands for no value.

        Raises:
            InvalidInputError: there is no such column, or it holds another type.
        """
        return Selection(select(self.manifest.table, where, equals), self._utterance)

    def scan(self, where: pc.Expression | None = None, /, **equals: Any) -> Iterator[U]:
        """The same utterances as `utterances`, in stored order.

        For reading them one after another: threads read ahead whatever tracks the first ones were asked for.
        An utterance of a scan keeps the arrays of its neighbours in memory, too.

        Raises:
            InvalidInputError: there is no such column, or it holds another type.
        """
        yield from self._read_ahead(self.frames, self.utterances(where, **equals).table)

    def scan_rows(self, rows: pa.Table, objects: Mapping[str, ShardObject]) -> Iterator[U]:
        """As `scan`, of manifest rows that are at hand, without a look into the manifest.

        Args:
            rows: of utterances, in stored order.
            objects: all objects of their shards, by path.
        """
        yield from self._read_ahead(self.frames.only(objects), rows)

    def _read_ahead(self, frames: Frames, rows: pa.Table) -> Iterator[U]:
        for held, run in scan_runs(frames, rows):
            for row in run.to_pylist():
                yield replace(self._utterance(row), frames=held)
