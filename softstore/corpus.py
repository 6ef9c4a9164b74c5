"""A corpus, opened by URL: features, senone labels, text and speakers of many utterances."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from softstore.collection import Collection
from softstore.errors import CorruptDataError, NotAStoreError
from softstore.format import SENONES, SENONES_CHECKSUM, Attributes
from softstore.frames import Frames
from softstore.sharding import crc32c
from softstore.storage import Storage, open_storage
from softstore.utterance import Utterance


class Corpus(Collection[Utterance]):
    """Utterances without soft targets; the same face as `softstore.Store` otherwise."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames)
        if self.attributes.kind != "corpus":
            raise NotAStoreError(f"{self.url} is a soft-target store, not a corpus.")

    @classmethod
    def open(cls, url: str | os.PathLike[str], *, token: str | None = None) -> Corpus:
        """Open the corpus at a path or URL; raises as `softstore.open`."""
        return cls(Frames(open_storage(url, token=token)))

    def _utterance(self, row: Mapping[str, Any]) -> Utterance:
        return Utterance(self.frames, row)

    def senones(self) -> dict[str, Any]:
        """``tree``: phone, context, state → senone; ``lexicon``: word → pronunciations; JSON values.

        Raises:
            NotFoundError: the corpus has none.
            CorruptDataError: they are damaged.
        """
        return read_senones(self.frames.storage, self.attributes)


def read_senones(storage: Storage, attributes: Attributes) -> dict[str, Any]:
    """As `Corpus.senones`, of the corpus that lies there."""
    try:
        found: dict[str, Any] = json.loads(checked_senones(storage, attributes))
    except ValueError as error:
        raise CorruptDataError(f"{SENONES} in {storage.url} is not JSON: {error}.") from error
    return found


def checked_senones(storage: Storage, attributes: Attributes) -> bytes:
    """The senones as they are stored; raises as `Corpus.senones`."""
    data = storage.get(SENONES)
    # A corpus of somebody else's making may have senones without a checksum.
    if attributes.corpus.get(SENONES_CHECKSUM, crc32c(data)) != crc32c(data):
        raise CorruptDataError(
            f"{SENONES} in {storage.url} is damaged: its bytes do not match their checksum."
        )
    return data
