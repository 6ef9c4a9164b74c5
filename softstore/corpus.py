"""A corpus, opened by URL: features, senone labels, text and speakers of many utterances."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from softstore.errors import CorruptDataError, NotAStoreError, NotFoundError
from softstore.format import SENONES, Attributes
from softstore.frames import Frames
from softstore.manifest import Manifest
from softstore.storage import open_storage
from softstore.utterance import Utterance


class Corpus:
    """Utterances without soft targets; the same face as `softstore.Store` otherwise."""

    def __init__(self, frames: Frames) -> None:
        if frames.attributes.kind != "corpus":
            raise NotAStoreError(f"{frames.storage.url} is a soft-target store, not a corpus.")
        self.frames = frames

    @classmethod
    def open(cls, url: str | os.PathLike[str], *, token: str | None = None) -> Corpus:
        """Open the corpus at a path or URL; raises as `softstore.open`."""
        return cls(Frames(open_storage(url, token=token)))

    @property
    def url(self) -> str:
        return self.frames.storage.url

    @property
    def attributes(self) -> Attributes:
        return self.frames.attributes

    @property
    def class_count(self) -> int:
        """Senones."""
        return self.attributes.class_count

    @property
    def manifest(self) -> Manifest:
        return self.frames.manifest

    def senones(self) -> dict[str, Any]:
        """The senone tree (phone, context, state → senone) and lexicon, as JSON values."""
        try:
            found: dict[str, Any] = json.loads(self.frames.storage.get(SENONES))
        except ValueError as error:
            raise CorruptDataError(f"{SENONES} in {self.url} is not JSON: {error}.") from error
        return found

    def __len__(self) -> int:
        return len(self.manifest)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self.manifest

    def __getitem__(self, utterance_id: str) -> Utterance:
        """Raises `NotFoundError` if the corpus has no such utterance."""
        if utterance_id not in self.manifest:
            raise NotFoundError(f"{self.url} has no utterance {utterance_id!r}.")
        return Utterance(self.frames, self.manifest.row(utterance_id))

    def scan(self, /, **equals: Any) -> Iterator[Utterance]:
        """Utterances in stored order whose manifest columns equal the given values (``split="train"``)."""
        for batch in self.manifest.where(**equals).to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                yield Utterance(self.frames, row)
