"""Several stores as one: the weighted mean of their posteriors."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api import metrics
from api.batch_request import EnsembleBatchRequest, ensemble_batch_request
from api.batches import Batch, Source
from api.catalogue import catalogue
from api.ensembles import MeanOfTeachers, Member, Members, find_members
from api.formats import ARROW, JSON, NPY, JsonResponse, negotiate
from api.lean import answered_by
from api.models import Posteriors
from api.problems import problems
from api.queries import PosteriorsQuery
from api.routers.batch import BATCH_RESPONSES, accepted, send_batch
from api.routers.posteriors import POSTERIORS
from api.sending import body_of
from api.softened import Asked, respond
from softstore.ensemble import ensemble_utterance

router = APIRouter(prefix="/v1/ensembles", tags=["ensembles"])


class EnsembleRequest(PosteriorsQuery):
    """An utterance of several stores as one."""

    stores: Members
    mean: MeanOfTeachers = "arithmetic"
    utterance_id: str = Field(examples=["cv-0001"])


class EnsemblePosteriors(Posteriors):
    """The mean of several teachers' posteriors."""

    stores: list[Member]
    mean: MeanOfTeachers


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": EnsemblePosteriors, **POSTERIORS},
    **problems(404, 406, 409, 413, 422, 429, 500, 503),
}


@router.post(
    "/posteriors",
    name="post_ensemble_posteriors",
    summary="Posteriors of several teachers",
    response_class=JsonResponse,
    responses=_RESPONSES,
)
async def post_posteriors(
    request: Request,
    asked: EnsembleRequest,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """The weighted mean of several stores' posteriors of one utterance, as JSON, npy or Arrow (by Accept).

    Every store is softened by itself, then they are mixed. All must have the utterance, with the same
    features and number of frames, and the same classes (409). What is wanted of it is what the route of a
    single store takes as its query.
    """
    media_type = negotiate(accept, (JSON, NPY, ARROW))
    stores = await find_members(request, asked.stores)

    def answer() -> Response:
        weights = [member.weight for member in asked.stores]
        opened = [served.current() for served in stores]
        utterance = ensemble_utterance(opened, asked.utterance_id, weights, asked.mean)
        wanted = Asked.of(utterance, asked, media_type)
        for served in stores:
            metrics.frames_decoded(served.name, wanted.frames)
        named = asked.model_dump(include={"stores", "mean", "utterance_id"})
        return respond(utterance, wanted, named, {"Cache-Control": "no-store", "Vary": "Accept"})

    return await run_in_threadpool(answer)


async def _answer_batch(scope: Scope, receive: Receive, send: Send) -> bool:
    request = Request(scope)
    negotiate(accepted(scope), (ARROW,))
    asked = ensemble_batch_request(await body_of(receive))
    stores = await find_members(request, asked.stores)
    generations = tuple(served.generation for served in stores)
    opened = [await run_in_threadpool(served.current) for served in stores]
    weights = tuple(member.weight for member in asked.stores)
    source = Source(
        key=(stores[0].name, "ensemble", generations, weights, asked.mean),
        attributes=opened[0].attributes,
        find=partial(ensemble_utterance, opened, weights=weights, mean=asked.mean),
        codec=None,
        public=catalogue(request).without_urls,
    )
    await send_batch(receive, send, Batch(source, asked, scope["app"].state.cache))
    return True


@router.post(
    "/batch",
    name="post_ensemble_batch",
    summary="Many utterances of several teachers",
    response_class=Response,
    responses={**BATCH_RESPONSES, **problems(409)},
)
@answered_by(_answer_batch)
def post_batch(asked: EnsembleBatchRequest) -> None:
    """As the batch of a single store, of posteriors only, mixed as `/v1/ensembles/posteriors` mixes them.

    Labels and features are those of the first store. Damage in one store makes an item's `error`.
    """
