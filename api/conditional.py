"""What a published answer is called (ETag) and how long it may be kept, known before anything is decoded.

    version = published(request, [utterance], "posteriors", media_type, temperature, start, stop)
    if version.unchanged:
        return version.not_modified()
    return NpyResponse(…, headers=version.headers)

A tag hangs on the SHA-256 of the utterance's shard, on the codec, on this release, and on all that was asked
for: the same tag is the same answer, whichever worker gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import Request, Response

from api.ranges import matches
from softstore import Store, StoredUtterance, __version__
from softstore.frames import Frames
from softstore.runs import HeldFrames

IMMUTABLE = "max-age=31536000, immutable"
"""A year, and no need to ask again: a published shard never changes."""

REVALIDATED = "no-cache"
"""Kept, but asked for again each time: a store grows."""

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "The answer is what If-None-Match names."}
}
"""For the ``responses`` of a route."""

_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Version:
    """Attributes:
    headers: ETag, Cache-Control and ``Vary: Accept``, for the answer whether 200 or 304.
    unchanged: the client has this answer already.
    """

    headers: dict[str, str]
    unchanged: bool

    def not_modified(self) -> Response:
        """304, with what RFC 9110 wants to see again in it."""
        return Response(status_code=304, headers=self.headers)


def published(request: Request, utterances: Sequence[StoredUtterance], *asked: object) -> Version:
    """The version of an answer made of these utterances (of several stores, in an ensemble) and nothing else.

    Args:
        asked: all else that the answer's bytes hang on, its media type among it.
    """
    named = [
        part
        for utterance in utterances
        for part in (_shard_digest(utterance), utterance.utterance_id, utterance.row["first_frame"])
    ]
    return _version(request, (*named, *asked), f"{cache_scope(request)}, {IMMUTABLE}")


def growing(request: Request, stores: Sequence[Store], *asked: object) -> Version:
    """The version of an answer about whole stores, such as a listing; it changes as they grow."""
    return _version(request, (*map(_generation, stores), *asked), REVALIDATED)


def cache_scope(request: Request) -> str:
    """``private`` where tokens are asked for, else ``public``."""
    scope: str = request.app.state.cache_scope
    return scope


def _version(request: Request, parts: Sequence[object], cache_control: str) -> Version:
    etag = f'"{_digest(__version__, *parts)}"'
    headers = {"ETag": etag, "Cache-Control": cache_control, "Vary": "Accept"}
    return Version(headers, matches(request.headers.get("if-none-match"), etag))


def _digest(*parts: object) -> str:
    # repr keeps "1", 1 and 1.0 apart, and the borders between parts.
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=_TAG_BYTES).hexdigest()


_shards: WeakKeyDictionary[Frames | HeldFrames, dict[int, str]] = WeakKeyDictionary()
_generations: WeakKeyDictionary[Store, str] = WeakKeyDictionary()


def _shard_digest(utterance: StoredUtterance) -> str:
    """Of all objects of the utterance's shard and of the codec they need; worked out once for each shard."""
    frames, shard = utterance.frames, int(utterance.row["shard"])
    known = _shards.setdefault(frames, {})
    if shard not in known:
        assert isinstance(frames, Frames)  # HeldFrames are a scan's, and nothing here scans
        attributes = frames.attributes
        arrays = {name: array.sha256 for name, array in attributes.codec_arrays.items()}
        objects = frames.lookup.objects_of(shard)
        checksums = sorted((path, entry.sha256) for path, entry in objects.items())
        known[shard] = _digest(attributes.codec, arrays, attributes.block_frames, checksums)
    return known[shard]


def _generation(store: Store) -> str:
    """Of a store's attributes, which name every run that wrote to it, and of how much is published."""
    found = _generations.get(store)
    if found is None:
        found = _generations[store] = _digest(store.attributes.model_dump_json(), len(store))
    return found
