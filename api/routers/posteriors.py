"""Posteriors of an utterance."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send

from api import metrics
from api.bodies import respond_in_thread
from api.catalogue import Served, ServedStore, find_store
from api.conditional import NOT_MODIFIED, published
from api.formats import ARROW, JSON, NPY, JsonResponse, binary, negotiate
from api.lean import answered_by
from api.models import Posteriors
from api.paths import UtteranceId, decoded
from api.problems import problems
from api.queries import PosteriorsQuery
from api.softened import Asked, respond

router = APIRouter(prefix="/v1/stores/{store}/utterances", tags=["posteriors"])

OFFERED = (JSON, NPY, ARROW)

POSTERIORS: dict[str, Any] = {
    "description": "Posteriors of the frames asked for.",
    "content": {
        NPY: binary(
            "(frames, classes) of `dtype`; with `top_k` a structured array (frames, k) with the fields "
            "`class` (uint32) and `posterior`, by falling probability."
        ),
        ARROW: binary(
            "A row for each frame: `posteriors`, a fixed-size list, and with `top_k` also `classes`, a "
            "fixed-size list of uint32. The schema's metadata has everything else that the JSON answer "
            "has, as JSON under the key `softstore`."
        ),
    },
}
"""The answer in formats other than JSON, for OpenAPI."""

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Posteriors, **POSTERIORS},
    **NOT_MODIFIED,
    **problems(404, 406, 422, 429, 500, 503),
}


async def _answer(scope: Scope, receive: Receive, send: Send) -> bool:
    """Arrays; what is JSON, or not sound, FastAPI answers."""
    request = Request(scope)
    media_type = negotiate(request.headers.get("accept"), OFFERED)
    if media_type == JSON:
        return False
    names = scope["path_params"]
    try:
        store, utterance_id = decoded(names["store"]), decoded(names["utterance_id"])
        query = PosteriorsQuery.model_validate(dict(request.query_params))
    except ValueError:
        return False
    served = await find_store(request, store)
    await respond_in_thread(
        lambda: _respond(request, served, utterance_id, query, media_type), scope, receive, send
    )
    return True


@router.get(
    "/{utterance_id:path}/posteriors",
    summary="Posteriors of an utterance",
    response_class=JsonResponse,
    responses=_RESPONSES,
)
@answered_by(_answer)
def get_posteriors(
    request: Request,
    served: Served,
    utterance_id: UtteranceId,
    query: Annotated[PosteriorsQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """The teacher's posteriors at any temperature, for any span of frames, as JSON, npy or Arrow (by Accept).

    Of all classes, rows sum to 1. One answer holds a limited number of frames, more of them in npy and Arrow;
    ask for spans with `start` and `stop`.
    """
    return _respond(request, served, utterance_id, query, negotiate(accept, OFFERED))


def _respond(
    request: Request, served: ServedStore, utterance_id: str, query: PosteriorsQuery, media_type: str
) -> Response:
    utterance = served.current()[utterance_id]
    asked = Asked.of(utterance, query, media_type)
    version = published(request, [utterance], "posteriors", asked)
    if version.unchanged:
        return version.not_modified()
    metrics.frames_decoded(served.name, asked.frames)
    return respond(utterance, asked, {"utterance_id": utterance_id}, version.headers)
