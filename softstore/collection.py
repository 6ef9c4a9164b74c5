"""What stores and corpora have in common: utterances by id, in order, and by manifest column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from softstore.errors import NotFoundError
from softstore.format import Attributes
from softstore.frames import Frames
from softstore.manifest import Manifest
from softstore.utterance import Utterance

U = TypeVar("U", bound=Utterance)

_BATCH_ROWS = 4096


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
        return self.frames.manifest

    def __len__(self) -> int:
        return len(self.manifest)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self.manifest

    def __getitem__(self, utterance_id: str) -> U:
        """Raises `NotFoundError` if there is no such utterance."""
        if utterance_id not in self.manifest:
            raise NotFoundError(f"{self.url} has no utterance {utterance_id!r}.")
        return self._utterance(self.manifest.row(utterance_id))

    def scan(self, /, **equals: Any) -> Iterator[U]:
        """Utterances in stored order whose manifest columns equal the given values (``split="train"``).

        Raises:
            InvalidInputError: there is no such column, or it holds another type.
        """
        for batch in self.manifest.where(**equals).to_batches(max_chunksize=_BATCH_ROWS):
            yield from map(self._utterance, batch.to_pylist())
