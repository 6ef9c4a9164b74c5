"""What HTTP says of a store's object before its bytes."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from api.conditional import IMMUTABLE, REVALIDATED
from api.middleware.security import DATA_HEADERS
from api.sending import lines
from softstore import Store
from softstore.manifest import ShardObject

Headers = list[tuple[bytes, bytes]]

_MEDIA_TYPES = {".json": "application/json", ".parquet": "application/vnd.apache.parquet"}
_SHARD = re.compile(r"(.+)/c/([0-9]{1,9})(?:/.+)?")


class Card:
    """Attributes:
    etag: None if nothing tells this version from the next.
    public, private: headers of its answers, by who may keep them; all but those of its length.
    public_lines, private_lines: the same, as they are sent.
    """

    __slots__ = ("etag", "path", "private", "private_lines", "public", "public_lines", "size")

    def __init__(self, path: str, size: int, etag: str | None, *, immutable: bool) -> None:
        self.path = path
        self.size = size
        self.etag = etag
        self.public = self._headers(f"public, {IMMUTABLE}" if immutable else REVALIDATED)
        self.private = self._headers(f"private, {IMMUTABLE}" if immutable else REVALIDATED)
        self.public_lines, self.private_lines = lines(self.public), lines(self.private)

    def _headers(self, cache: str) -> Headers:
        media_type = _MEDIA_TYPES.get(PurePosixPath(self.path).suffix, "application/octet-stream")
        return [
            *DATA_HEADERS,
            *([(b"etag", self.etag.encode())] if self.etag else []),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", cache.encode()),
            (b"content-type", media_type.encode()),
        ]


def shard_of(store: Store, path: str) -> int | None:
    """Which shard's object this is; None if it belongs to the whole store."""
    match = _SHARD.fullmatch(path)
    return int(match[2]) if match and match[1] in store.attributes.tracks else None


def card_of_shard(path: str, size: int, entry: ShardObject | None) -> Card:
    """A shard's object is immutable once the manifest lists it; until then it may be a leftover."""
    if entry is None or entry.size != size:
        return Card(path, size, None, immutable=False)
    return Card(path, size, _etag(size, entry.sha256), immutable=True)


def card_of_whole(path: str, size: int, digest: str) -> Card:
    """Of an object of the whole store, by its SHA-256."""
    return Card(path, size, _etag(size, digest), immutable=path.startswith("manifest/"))


def _etag(size: int, digest: str) -> str:
    return f'"{size:x}-{digest[:32]}"'
