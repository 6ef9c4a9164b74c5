"""A corpus, opened by URL: features, senone labels, text and speakers of many utterances."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from softstore.collection import Collection
from softstore.errors import CorruptDataError, NotAStoreError
from softstore.format import SENONES
from softstore.frames import Frames
from softstore.storage import open_storage
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
        """``tree``: phone, context, state → senone; ``lexicon``: word → pronunciations; JSON values."""
        try:
            found: dict[str, Any] = json.loads(self.frames.storage.get(SENONES))
        except ValueError as error:
            raise CorruptDataError(f"{SENONES} in {self.url} is not JSON: {error}.") from error
        return found
