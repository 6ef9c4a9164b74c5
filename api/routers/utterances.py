"""Utterances of a store and their posteriors."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response

from api.catalogue import Served
from api.formats import JSON, NPY, JsonResponse, NpyResponse, negotiate, structured
from api.limits import JSON_FRAMES, NPY_FRAMES
from api.listing import page
from api.models import Posteriors, PosteriorsQuery, UtteranceDetail, UtterancePage, UtteranceQuery
from api.paths import UtteranceId, store_href, utterance_href
from api.problems import LIMIT_EXCEEDED, ProblemError, problems
from softstore import StoredUtterance

router = APIRouter(prefix="/v1/stores/{store}/utterances", tags=["utterances"])

_FRAME_LIMITS = {JSON: JSON_FRAMES, NPY: NPY_FRAMES}
_POSTERIORS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Posteriors,
        "description": "Posteriors of the frames asked for.",
        "content": {
            NPY: {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "float32 (frames, classes); with `top_k` a structured array (frames, k) "
                    "with the fields `class` (uint32) and `posterior` (float32), by falling probability.",
                }
            }
        },
    }
}


@router.get(
    "",
    summary="Utterances of a store",
    response_class=JsonResponse,
    responses={200: {"model": UtterancePage}, **problems(404, 422, 500, 503)},
)
def list_utterances(request: Request, served: Served, query: Annotated[UtteranceQuery, Query()]) -> Response:
    """A page of the manifest, in stored order, filtered by equality on any of its columns."""
    columns = query.columns()
    found = page(served.current().manifest, columns, query.limit, query.cursor)
    here = f"{store_href(request, served.name)}/utterances"
    links = {"self": f"{here}?{request.url.query}" if request.url.query else here}
    if found.next_cursor is not None:
        links["next"] = f"{here}?{urlencode({**columns, 'limit': query.limit, 'cursor': found.next_cursor})}"
    return JsonResponse(
        {"utterances": found.rows, "total": found.total, "next_cursor": found.next_cursor, "links": links}
    )


@router.get(
    "/{utterance_id:path}/posteriors",
    summary="Posteriors of an utterance",
    response_class=JsonResponse,
    responses={**_POSTERIORS, **problems(404, 406, 422, 500, 503)},
)
def get_posteriors(
    served: Served,
    utterance_id: UtteranceId,
    query: Annotated[PosteriorsQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """The teacher's posteriors at any temperature, for any span of frames, as JSON or npy (by Accept).

    One answer holds a limited number of frames, more of them in npy; ask for spans with `start` and `stop`.
    """
    media_type = negotiate(accept, (JSON, NPY))
    utterance = served.current()[utterance_id]
    stop = utterance.num_frames if query.stop is None else query.stop
    _check_frames(utterance, query.start, stop, media_type)
    headers = {"Vary": "Accept"}
    if query.top_k is None:
        dense = utterance.posteriors(query.temperature, query.start, stop)
        if media_type == NPY:
            return NpyResponse(dense, headers=headers)
        arrays: dict[str, Any] = {"posteriors": np.ascontiguousarray(dense)}
    else:
        top = utterance.top_k(query.top_k, query.temperature, query.start, stop)
        if media_type == NPY:
            return NpyResponse(structured(top), headers=headers)
        arrays = {
            "classes": np.ascontiguousarray(top.classes),
            "posteriors": np.ascontiguousarray(top.posteriors),
        }
    span = {"temperature": query.temperature, "start": query.start, "stop": stop}
    return JsonResponse({"utterance_id": utterance_id, **span, **arrays}, headers=headers)


@router.get(
    "/{utterance_id:path}",
    summary="One utterance",
    response_class=JsonResponse,
    responses={200: {"model": UtteranceDetail}, **problems(404, 422, 500, 503)},
)
def get_utterance(request: Request, served: Served, utterance_id: UtteranceId) -> Response:
    """An utterance's row of the manifest, with what it certifies."""
    utterance = served.current()[utterance_id]
    href = utterance_href(request, served.name, utterance_id)
    links = {
        "self": href,
        "posteriors": f"{href}/posteriors",
        "store": store_href(request, served.name),
    }
    return JsonResponse({"utterance": dict(utterance.row), "links": links})


def _check_frames(utterance: StoredUtterance, start: int, stop: int, media_type: str) -> None:
    limit = _FRAME_LIMITS[media_type]
    # A span that reaches beyond the utterance is for the reader to refuse.
    if stop <= utterance.num_frames and stop - start > limit:
        raise ProblemError(
            422,
            LIMIT_EXCEEDED,
            f"An answer in {media_type} has at most {limit} frames, not {stop - start}: ask for spans.",
            limit=limit,
        )
