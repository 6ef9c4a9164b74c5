"""What a store has beside posteriors: the labels and features of an utterance."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from api.bodies import array_response
from api.catalogue import Served, ServedStore
from api.conditional import NOT_MODIFIED, published
from api.formats import ARROW, JSON, NPY, JsonResponse, binary, negotiate
from api.models import Features, Labels
from api.paths import UtteranceId
from api.problems import problems
from api.queries import SpanQuery
from api.spans import asked_span
from softstore.errors import NotFoundError
from softstore.format import FEATURES, LABELS

router = APIRouter(prefix="/v1/stores/{store}/utterances", tags=["tracks"])


def _responses(model: type, npy: str, arrow: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "model": model,
            "description": "The frames asked for.",
            "content": {NPY: binary(npy), ARROW: binary(arrow)},
        },
        **NOT_MODIFIED,
        **problems(404, 406, 422, 500, 503),
    }


@router.get(
    "/{utterance_id:path}/labels",
    summary="Hard labels of an utterance",
    response_class=JsonResponse,
    responses=_responses(
        Labels, "(frames,), uint16 or int32, as stored.", "A row for each frame, with the column `labels`."
    ),
)
def get_labels(
    request: Request,
    served: Served,
    utterance_id: UtteranceId,
    query: Annotated[SpanQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """The senone of each frame, by alignment. 404 where the store has no labels."""
    return _track(request, served, utterance_id, LABELS, query, accept)


@router.get(
    "/{utterance_id:path}/features",
    summary="Features of an utterance",
    response_class=JsonResponse,
    responses=_responses(
        Features,
        "(frames, dimensions), float16 or float32, as stored.",
        "A row for each frame, with the column `features`, a fixed-size list.",
    ),
)
def get_features(
    request: Request,
    served: Served,
    utterance_id: UtteranceId,
    query: Annotated[SpanQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """What a student sees of each frame. 404 where the store has no features."""
    return _track(request, served, utterance_id, FEATURES, query, accept)


def _track(
    request: Request,
    served: ServedStore,
    utterance_id: str,
    track: str,
    query: SpanQuery,
    accept: str | None,
) -> Response:
    media_type = negotiate(accept, (JSON, NPY, ARROW))
    store = served.current()
    utterance = store[utterance_id]
    spec = store.attributes.tracks.get(track)
    if spec is None:
        raise NotFoundError(f"Store {served.name} has no {track}: those who made it left them out.")
    start, stop = asked_span(utterance, query, media_type, spec.width or 1)
    version = published(request, [utterance], track, media_type, start, stop)
    if version.unchanged:
        return version.not_modified()
    described = {"utterance_id": utterance_id, "start": start, "stop": stop}
    array = utterance.read(track, start, stop)
    return array_response(track, array, described, media_type, version.headers)
