"""Many utterances at once, as one Arrow stream."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api import metrics
from api.answers import Answers
from api.batch_request import BatchRequest, batch_request
from api.batches import Batch, Source
from api.catalogue import find_store, store_at_hand
from api.formats import ARROW, negotiate
from api.lean import Whole, answered_by
from api.limits import BATCH_FRAMES, BATCH_ITEMS, NPY_FRAMES, PIECE_BYTES
from api.middleware.security import DATA_HEADERS
from api.paths import StoreName
from api.problems import problems
from api.sending import Headers, body_of, lines, send_pieces, send_whole
from softstore import Store

router = APIRouter(prefix="/v1/stores/{store}", tags=["utterances"])

HEADERS: Headers = [*DATA_HEADERS, (b"content-type", ARROW.encode()), (b"cache-control", b"no-store")]

_LINES = lines(HEADERS)

_READY_BYTES = 4 * PIECE_BYTES
"""Larger batches are sent in pieces, though all of them be kept: copying them would hold up others."""

BATCH_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An Arrow IPC stream with a record batch of one row for every item, in order.",
        "content": {ARROW: {"schema": {"type": "string", "format": "binary"}}},
    },
    **problems(404, 406, 413, 422, 429, 500, 503),
}

_DESCRIPTION = f"""\
Posteriors of up to {BATCH_ITEMS:,} utterances or spans ({NPY_FRAMES:,} frames each, {BATCH_FRAMES:,} in all),
or their encoded frames, as an Arrow IPC stream.

A record batch has one row, with `utterance_id`, `start`, `stop`, `error`, and lists with an element for every
frame: `posteriors`, with `top_k` `classes`; or `targets/…`, the codec's arrays as stored, in whole blocks,
which `softstore.batches.read_batch` makes ready for the codec; and the `tracks` asked for. The schema's
metadata has under `softstore`, as JSON, the number of items, the class count, the codec, its block and the
temperature.

An utterance whose bytes are damaged is a row with an `error` and nulls; the others are served. Unknown
utterances and spans are refused before anything is sent. A stream that fails later breaks off: the connection
is closed within the chunked answer, and the stream's end and some of its items are missing.
"""


async def _answer(scope: Scope, receive: Receive, send: Send) -> bool:
    request = Request(scope)
    served = await find_store(request, scope["path_params"]["store"])
    negotiate(accepted(scope), (ARROW,))
    asked = batch_request(await body_of(receive))
    generation = served.generation
    store = served.at_hand()
    if store is None:
        store = await run_in_threadpool(served.current)
    await send_batch(receive, send, _batch(scope, served.name, generation, store, asked))
    return True


def _ready(scope: Scope, body: bytes) -> Whole | None:
    """A batch all of whose items are kept."""
    negotiate(accepted(scope), (ARROW,))
    found = store_at_hand(scope)
    if found is None:
        return None
    served, store = found
    answers: Answers = scope["app"].state.answers
    key = served.name, served.generation, body
    kept = answers.get(key, counted=False)
    if kept is not None:
        metrics.cache_hit(served.name)
        return kept
    ready = _batch(scope, served.name, served.generation, store, batch_request(body)).ready(_READY_BYTES)
    if ready is None:
        return None
    answer = Whole(200, _LINES, ready)
    answers.keep(body, key, answer)
    return answer


def _batch(scope: Scope, name: str, generation: int, store: Store, asked: BatchRequest) -> Batch:
    state = scope["app"].state
    source = Source(
        key=(name, generation),
        attributes=store.attributes,
        find=store.__getitem__,
        codec=store.codec if asked.encoding == "encoded" else None,
        public=state.catalogue.without_urls,
    )
    return Batch(source, asked, state.cache)


async def send_batch(receive: Receive, send: Send, batch: Batch) -> None:
    """The stream, in one piece if it is ready, else as it is made; what is refused is before it begins."""
    ready = batch.ready(_READY_BYTES)
    if ready is not None:
        await send_whole(send, 200, HEADERS, ready)
        return
    spans = await run_in_threadpool(batch.spans)
    await send_pieces(receive, send, 200, HEADERS, batch.pieces(spans))


@router.post(
    "/batch",
    name="post_batch",
    summary="Many utterances",
    response_class=Response,
    responses=BATCH_RESPONSES,
    description=_DESCRIPTION,
)
@answered_by(_answer, ready=_ready)
def post_batch(store: StoreName, asked: BatchRequest) -> None: ...


def accepted(scope: Scope) -> str | None:
    """The Accept header."""
    for name, value in scope["headers"]:
        if name == b"accept":
            return str(value.decode("latin-1"))
    return None
