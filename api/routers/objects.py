"""The objects of a store as they lie, so that its URL here opens like the store itself."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.catalogue import find_store
from api.lean import answered_by
from api.limits import PIECE_BYTES
from api.objects import open_object, piece, pieces
from api.paths import StoreName
from api.problems import problems
from api.ranges import byte_range, matches
from api.sending import head, send_pieces, send_whole
from softstore.errors import NotFoundError

router = APIRouter(prefix="/v1/stores/{store}/objects", tags=["objects"])

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}"
_PATH = re.compile(rf"{_SEGMENT}(/{_SEGMENT}){{0,9}}")
"""What objects are called: no encoded characters, no backslashes, no empty, hidden or parent segments."""

_BYTES = "application/octet-stream"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole object.", "content": {_BYTES: _BINARY}},
    206: {"description": "The range of bytes asked for.", "content": {_BYTES: _BINARY}},
    304: {"description": "The object is what If-None-Match names."},
    **problems(404, 416, 422, 500, 503),
}


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    names = scope["path_params"]
    served = await find_store(Request(scope), names["store"])
    # Some HTTP clients double the slash when their URL ends in one.
    path = names["path"].removeprefix("/")
    if not _PATH.fullmatch(path):
        raise NotFoundError(f"There is no object {path!r}.")
    asked = dict(scope["headers"])
    head_only = scope["method"] == "HEAD"
    store = served.at_hand()
    if store is None:
        store = await run_in_threadpool(served.current)
    opened = await open_object(store, path, look=head_only)
    card = opened.card
    headers = card.private if scope["app"].state.cache_scope == "private" else card.public
    if b"if-none-match" in asked and matches(asked[b"if-none-match"].decode("latin-1"), card.etag):
        await send(head(304, headers))
        await send({"type": "http.response.body"})
        return
    if head_only:
        await send(head(200, [*headers, (b"content-length", b"%d" % card.size)]))
        await send({"type": "http.response.body"})
        return
    span = byte_range(_wanted_range(asked, card.etag), card.size)
    start, length = span or (0, card.size)
    status = 200
    if span:
        status = 206
        content_range = b"bytes %d-%d/%d" % (start, start + length - 1, card.size)
        headers = [*headers, (b"content-range", content_range)]
    if length <= PIECE_BYTES:
        await send_whole(send, status, headers, await piece(opened, start, length) if length else b"")
    else:
        headers = [*headers, (b"content-length", b"%d" % length)]
        await send_pieces(receive, send, status, headers, pieces(opened, start, length))


@router.head("/{path:path}", name="head_object", summary="Size and ETag of an object", responses=_RESPONSES)
@router.get(
    "/{path:path}", name="get_object", summary="A raw object", response_class=Response, responses=_RESPONSES
)
@answered_by(_answer)
def get_object(
    store: StoreName,
    path: Annotated[
        str, PathParameter(description="Path below the store.", examples=["targets/classes/c/0/0"])
    ],
) -> None:
    """Bytes of one object. A single `Range`, `If-Range` and `If-None-Match` are honoured.

    Published shards never change and may be cached for ever; `zarr.json` changes as a store grows. This URL
    without the path is one that `softstore.open`, zarr and tensorstore read as a store.
    """


def _wanted_range(asked: dict[bytes, bytes], etag: str | None) -> str | None:
    """The Range header, unless If-Range names another version of the object."""
    condition, wanted = asked.get(b"if-range"), asked.get(b"range")
    if wanted is None or (condition is not None and condition.decode("latin-1") != etag):
        return None
    return wanted.decode("latin-1")
