"""The objects of a store as they lie, so that its URL here opens like the store itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.answers import Answers
from api.catalogue import find_store, store_at_hand
from api.lean import Whole, answered_by
from api.limits import PIECE_BYTES
from api.object_cards import Card
from api.object_files import OpenFile, file_at_hand
from api.objects import open_object, piece, pieces
from api.paths import StoreName
from api.problems import problems
from api.ranges import byte_range, matches
from api.sending import Headers, head, send_pieces, send_whole
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


async def _answer(scope: Scope, receive: Receive, send: Send) -> bool:
    names = scope["path_params"]
    served = await find_store(Request(scope), names["store"])
    path = _object_path(names["path"])
    if path is None:
        raise NotFoundError(f"There is no object {names['path']!r}.")
    asked = dict(scope["headers"])
    head_only = scope["method"] == "HEAD"
    store = served.at_hand()
    if store is None:
        store = await run_in_threadpool(served.current)
    opened = await open_object(store, path, look=head_only)
    card = opened.card
    if _is_held(asked, card):
        await send(head(304, _headers(scope, card)))
        await send({"type": "http.response.body"})
        return True
    if head_only:
        await send(head(200, [*_headers(scope, card), (b"content-length", b"%d" % card.size)]))
        await send({"type": "http.response.body"})
        return True
    status, headers, start, length = _part(scope, asked, card)
    if length <= PIECE_BYTES:
        await send_whole(send, status, headers, await piece(opened, start, length) if length else b"")
    else:
        headers = [*headers, (b"content-length", b"%d" % length)]
        await send_pieces(receive, send, status, headers, pieces(opened, start, length))
    return True


def _ready(scope: Scope, body: bytes) -> Whole | None:
    """A part of a local file that is open, with its bytes in memory."""
    found = store_at_hand(scope)
    opened = None if found is None else file_at_hand(found[1], scope["path_params"]["path"])
    if found is None or opened is None:
        return None
    asked = dict(scope["headers"])
    if b"if-none-match" in asked or b"if-range" in asked:
        return None
    answers: Answers = scope["app"].state.answers
    card, wanted = opened.card, asked.get(b"range")
    # Versions without an ETag cannot be told apart.
    key = found[0].name, card.etag, card.path, wanted
    kept = answers.get(key, counted=False) if card.etag else None
    if kept is None:
        kept = _made(scope, asked, opened)
        if kept is not None and card.etag:
            answers.keep(wanted or b"", key, kept)
    return kept


def _made(scope: Scope, asked: Mapping[bytes, bytes], opened: OpenFile) -> Whole | None:
    card = opened.card
    span = _span(asked, card)
    start, length = span or (0, card.size)
    found_bytes = opened.at_hand(start, length)
    if found_bytes is None:
        return None
    lines = card.private_lines if _is_private(scope) else card.public_lines
    if span is None:
        return Whole(200, lines, found_bytes)
    return Whole(206, b"%bcontent-range: %b\r\n" % (lines, _content_range(start, length, card)), found_bytes)


@router.head("/{path:path}", name="head_object", summary="Size and ETag of an object", responses=_RESPONSES)
@router.get(
    "/{path:path}", name="get_object", summary="A raw object", response_class=Response, responses=_RESPONSES
)
@answered_by(_answer, ready=_ready)
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


def _object_path(asked: str) -> str | None:
    """The path of an object below its store; None if none can be called that."""
    # Some HTTP clients double the slash when their URL ends in one.
    path = asked.removeprefix("/")
    return path if _PATH.fullmatch(path) else None


def _is_held(asked: Mapping[bytes, bytes], card: Card) -> bool:
    return b"if-none-match" in asked and matches(asked[b"if-none-match"].decode("latin-1"), card.etag)


def _headers(scope: Scope, card: Card) -> Headers:
    return card.private if _is_private(scope) else card.public


def _is_private(scope: Scope) -> bool:
    private: bool = scope["app"].state.cache_scope == "private"
    return private


def _part(scope: Scope, asked: Mapping[bytes, bytes], card: Card) -> tuple[int, Headers, int, int]:
    """Status, headers, first byte and number of bytes of what is asked for; `ProblemError` if beyond it."""
    headers = _headers(scope, card)
    span = _span(asked, card)
    if span is None:
        return 200, headers, 0, card.size
    start, length = span
    return 206, [*headers, (b"content-range", _content_range(start, length, card))], start, length


def _span(asked: Mapping[bytes, bytes], card: Card) -> tuple[int, int] | None:
    """The first byte and the number of bytes asked for; None for all. `ProblemError` if beyond the object."""
    return byte_range(_wanted_range(asked, card.etag), card.size)


def _content_range(start: int, length: int, card: Card) -> bytes:
    return b"bytes %d-%d/%d" % (start, start + length - 1, card.size)


def _wanted_range(asked: Mapping[bytes, bytes], etag: str | None) -> str | None:
    """The Range header, unless If-Range names another version of the object."""
    condition, wanted = asked.get(b"if-range"), asked.get(b"range")
    if wanted is None or (condition is not None and condition.decode("latin-1") != etag):
        return None
    return wanted.decode("latin-1")
