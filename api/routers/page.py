"""The page: what lies in ``api/page``, read once, served as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter

from api.middleware.security import PAGE_POLICY
from api.problems import problems
from api.ranges import matches
from softstore.errors import NotFoundError
from softstore.sharding import sha256

router = APIRouter(tags=["page"])

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # Kept, but asked for again each time: modules of one release must not meet those of another.
    "Cache-Control": "no-cache",
    # Said here, too, for 304: it has no media type to tell a page by, and its headers replace those kept.
    "Content-Security-Policy": PAGE_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()},
    },
    304: {"description": "The file is what If-None-Match names."},
}
_FILE_RESPONSES = {**_RESPONSES, **problems(404)}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    media_type: str
    etag: str


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        _, dot, suffix = entry.name.rpartition(".")
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif (media_type := _MEDIA_TYPES.get(dot + suffix)) is not None:
            data = entry.read_bytes()
            yield prefix + entry.name, _File(data, media_type, f'"{sha256(data)[:32]}"')


_FILES = dict(_read(files("api") / "page"))
"""By path. Nothing else can be asked for, whatever a path says."""


@router.head("/", name="head_page", summary="Headers of the page", responses=_RESPONSES)
@router.get("/", summary="The page", response_class=Response, responses=_RESPONSES)
async def page(request: Request) -> Response:
    """A page to look at posteriors with: at any temperature, frame by frame, two stores at a time."""
    return _answer(request, _FILES["index.html"])


@router.head(
    "/page/{path:path}",
    name="head_page_file",
    summary="Headers of a file of the page",
    responses=_FILE_RESPONSES,
)
@router.get(
    "/page/{path:path}",
    summary="A file of the page",
    response_class=Response,
    responses=_FILE_RESPONSES,
)
async def page_file(
    request: Request,
    path: Annotated[str, PathParameter(description="Name of the file.", examples=["app.js"])],
) -> Response:
    """Scripts, styles and pictures that the page is made of."""
    found = _FILES.get(path)
    if found is None:
        raise NotFoundError(f"The page has no file {path!r}.")
    return _answer(request, found)


def _answer(request: Request, file: _File) -> Response:
    headers = {**_HEADERS, "ETag": file.etag}
    if matches(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.data, headers=headers, media_type=file.media_type)
