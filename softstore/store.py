"""A soft-target store, opened by URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import codec_from_config
from softstore.collection import Collection
from softstore.errors import FormatError, NotAStoreError
from softstore.format import TARGETS
from softstore.frames import Frames
from softstore.storage import open_storage
from softstore.store_certificate import StoreCertificate, store_certificate
from softstore.utterance import StoredUtterance


class Store(Collection[StoredUtterance]):
    """The soft targets of one teacher over many utterances."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames)
        if self.attributes.kind != "soft_targets":
            raise NotAStoreError(f"{self.url} is a corpus, not a store: it holds no soft targets.")
        self.codec = codec_from_config(
            self.attributes.codec or {}, read_codec_arrays(frames.storage, self.attributes)
        )
        needed = self.codec.tracks(self.class_count)
        if any(self.attributes.tracks.get(f"{TARGETS}/{name}") != spec for name, spec in needed.items()):
            raise FormatError(f"The attributes of {self.url} are damaged: its tracks do not fit its codec.")

    def _utterance(self, row: Mapping[str, Any]) -> StoredUtterance:
        return StoredUtterance(self.frames, row, self.codec)

    def certificate(self) -> StoreCertificate:
        """What decoding gives back, over all frames, from the published measurements."""
        return store_certificate(self.frames)


def open_store(url: str | os.PathLike[str], *, token: str | None = None) -> Store:
    """Open a store for reading; it shows what was published at that moment.

    Args:
        url: a path, or an ``s3://``, ``http(s)://`` or ``memory://`` URL, see `softstore.storage`.
        token: a bearer token for ``http(s)://``.

    Raises:
        NotFoundError: nothing is there.
        NotAStoreError: something else is there, be it a corpus (`Corpus.open` opens those).
        FormatError: it was written by a newer softstore.
        CorruptDataError: its metadata is damaged.
        StorageError: the storage refused or did not answer.
    """
    return Store(Frames(open_storage(url, token=token)))
