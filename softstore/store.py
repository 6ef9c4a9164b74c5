"""A soft-target store, opened by URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from softstore.certificate import StoreCertificate, store_certificate
from softstore.codecs import codec_from_config
from softstore.errors import FormatError, NotAStoreError, NotFoundError
from softstore.format import TARGETS, Attributes
from softstore.frames import Frames
from softstore.manifest import Manifest
from softstore.storage import open_storage
from softstore.utterance import StoredUtterance


class Store:
    """The soft targets of one teacher over many utterances, as published when it was opened.

    ``store[utterance_id]`` is a `StoredUtterance`; ``len(store)`` and ``id in store`` work as in a dict.
    """

    def __init__(self, frames: Frames) -> None:
        if frames.attributes.kind != "soft_targets":
            raise NotAStoreError(f"{frames.storage.url} is a corpus, not a store: it holds no soft targets.")
        self.frames = frames
        self.codec = codec_from_config(frames.attributes.codec or {})
        needed = self.codec.tracks(frames.attributes.class_count)
        if any(frames.attributes.tracks.get(f"{TARGETS}/{name}") != spec for name, spec in needed.items()):
            raise FormatError(
                f"The attributes of {frames.storage.url} are damaged: tracks do not fit the codec."
            )

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

    def __getitem__(self, utterance_id: str) -> StoredUtterance:
        """Raises `NotFoundError` if the store has no such utterance."""
        if utterance_id not in self.manifest:
            raise NotFoundError(f"{self.url} has no utterance {utterance_id!r}.")
        return StoredUtterance(self.frames, self.manifest.row(utterance_id), self.codec)

    def scan(self, /, **equals: Any) -> Iterator[StoredUtterance]:
        """Utterances in stored order whose manifest columns equal the given values (``split="train"``)."""
        for batch in self.manifest.where(**equals).to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                yield StoredUtterance(self.frames, row, self.codec)

    def certificate(self) -> StoreCertificate:
        """What decoding gives back, over all frames, from the published measurements."""
        return store_certificate(self.manifest, self.attributes.certificate_temperatures)


def open_store(url: str | os.PathLike[str], *, token: str | None = None) -> Store:
    """Open the store at a path, ``s3://``, ``http(s)://`` or ``memory://`` URL (see `softstore.storage`).

    Raises:
        NotFoundError: nothing is there.
        NotAStoreError: something else is there.
        FormatError: it was written by a newer softstore.
        StorageError: the storage refused or did not answer.
    """
    return Store(Frames(open_storage(url, token=token)))
