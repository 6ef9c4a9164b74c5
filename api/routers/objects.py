"""The objects of a store as they lie, so that its URL here opens like the store itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from starlette.responses import StreamingResponse

from api.catalogue import Served
from api.limits import PIECE_BYTES
from api.problems import problems
from api.ranges import byte_range, matches
from softstore import Store
from softstore.errors import CorruptDataError, NotFoundError
from softstore.local_files import LocalFiles
from softstore.sharding import sha256
from softstore.storage import Storage

router = APIRouter(prefix="/v1/stores/{store}/objects", tags=["objects"])

IMMUTABLE = "public, max-age=31536000, immutable"
CHANGES = "no-cache"

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}"
_PATH = re.compile(rf"{_SEGMENT}(/{_SEGMENT}){{0,9}}")
"""What objects are called: no encoded characters, no backslashes, no empty, hidden or parent segments."""

_MEDIA_TYPES = {".json": "application/json", ".parquet": "application/vnd.apache.parquet"}
_BYTES = "application/octet-stream"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole object.", "content": {_BYTES: _BINARY}},
    206: {"description": "The range of bytes asked for.", "content": {_BYTES: _BINARY}},
    304: {"description": "The object is what If-None-Match names."},
    **problems(404, 416, 422, 500, 503),
}


@dataclass(frozen=True, slots=True)
class _Object:
    """One object: where it lies below the store, its size in bytes, and how to read (start, length) of it."""

    path: str
    size: int
    read: Callable[[int, int], memoryview]
    etag: str | None
    cache: str

    def headers(self) -> dict[str, str]:
        etag = {"ETag": self.etag} if self.etag else {}
        return {
            **etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": self.cache,
            "X-Content-Type-Options": "nosniff",
        }

    def piece(self, start: int, length: int) -> memoryview:
        piece = self.read(start, length)
        if len(piece) != length:
            raise CorruptDataError(f"{self.path} changed while it was read: read it again.")
        return piece

    def pieces(self, start: int, length: int) -> Iterator[memoryview]:
        for offset in range(start, start + length, PIECE_BYTES):
            yield self.piece(offset, min(PIECE_BYTES, start + length - offset))


@router.head("/{path:path}", name="head_object", summary="Size and ETag of an object", responses=_RESPONSES)
@router.get("/{path:path}", summary="A raw object", response_class=Response, responses=_RESPONSES)
def get_object(
    request: Request,
    served: Served,
    path: Annotated[
        str, PathParameter(description="Path below the store.", examples=["targets/classes/c/0/0"])
    ],
) -> Response:
    """Bytes of one object. A single `Range` and `If-None-Match` are honoured.

    Published shards never change and may be cached for ever; `zarr.json` changes as a store grows.
    """
    # Some HTTP clients double the slash when their URL ends in one.
    found = _find(served.current(), path.removeprefix("/"))
    headers = found.headers()
    if matches(request.headers.get("if-none-match"), found.etag):
        return Response(status_code=304, headers=headers)
    media_type = _MEDIA_TYPES.get(Path(path).suffix, _BYTES)
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(found.size)}, media_type=media_type)
    span = byte_range(_range_header(request, found.etag), found.size)
    start, length = span or (0, found.size)
    status = 200
    if span:
        status = 206
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{found.size}"
    if length <= PIECE_BYTES:
        body = found.piece(start, length) if length else b""
        return Response(body, status, headers, media_type)
    headers["Content-Length"] = str(length)
    return StreamingResponse(found.pieces(start, length), status, headers, media_type)


def _find(store: Store, path: str) -> _Object:
    storage = store.frames.storage
    if not _PATH.fullmatch(path) or not _reachable(storage, path):
        raise NotFoundError(f"There is no object {path!r}.")
    if any(path.startswith(f"{track}/c/") for track in store.attributes.tracks):
        return _shard_object(store, path)
    data = storage.get(path)
    cache = IMMUTABLE if path.startswith("manifest/") else CHANGES
    return _Object(path, len(data), partial(_slice, data), _etag(len(data), sha256(data)), cache)


def _shard_object(store: Store, path: str) -> _Object:
    """It is immutable once a manifest part lists it; until then it may be another run's leftover."""
    storage = store.frames.storage
    size = storage.size(path)
    entry = store.manifest.objects.get(path)
    read = partial(storage.get_range, path)
    if entry is None or entry.size != size:
        return _Object(path, size, read, None, CHANGES)
    return _Object(path, size, read, _etag(size, entry.sha256), IMMUTABLE)


def _reachable(storage: Storage, path: str) -> bool:
    """Whether ``path`` is a file inside a local store when its symbolic links are followed."""
    if not isinstance(storage.backend, LocalFiles):
        return True
    root = Path(storage.url).resolve()
    target = (root / path).resolve()
    return target.is_relative_to(root) and target.is_file()


def _range_header(request: Request, etag: str | None) -> str | None:
    """The Range header, unless If-Range names another version of the object."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition is None or condition == etag else None


def _etag(size: int, checksum: str) -> str:
    return f'"{size:x}-{checksum[:32]}"'


def _slice(data: bytes, start: int, length: int) -> memoryview:
    return memoryview(data)[start : start + length]
