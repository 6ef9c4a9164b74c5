"""Many utterances at once, as one Arrow stream."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.batch_request import BatchRequest, batch_request
from api.batches import Batch, Source
from api.catalogue import catalogue, find_store
from api.formats import ARROW, negotiate
from api.lean import answered_by
from api.limits import BATCH_FRAMES, BATCH_ITEMS, NPY_FRAMES, PIECE_BYTES
from api.paths import StoreName
from api.problems import problems
from api.sending import Headers, body_of, send_pieces, send_whole

router = APIRouter(prefix="/v1/stores/{store}", tags=["utterances"])

HEADERS: Headers = [(b"content-type", ARROW.encode()), (b"cache-control", b"no-store")]

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


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    served = await find_store(request, scope["path_params"]["store"])
    negotiate(accepted(scope), (ARROW,))
    asked = batch_request(await body_of(receive))
    generation = served.generation
    store = served.at_hand()
    if store is None:
        store = await run_in_threadpool(served.current)
    source = Source(
        key=(served.name, generation),
        attributes=store.attributes,
        find=store.__getitem__,
        codec=store.codec if asked.encoding == "encoded" else None,
        public=catalogue(request).without_urls,
    )
    await send_batch(receive, send, Batch(source, asked, scope["app"].state.cache))


async def send_batch(receive: Receive, send: Send, batch: Batch) -> None:
    """The stream, in one piece if it is ready, else as it is made; what is refused is before it begins."""
    ready = batch.ready(PIECE_BYTES)
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
@answered_by(_answer)
def post_batch(store: StoreName, asked: BatchRequest) -> None: ...


def accepted(scope: Scope) -> str | None:
    """The Accept header."""
    for name, value in scope["headers"]:
        if name == b"accept":
            return str(value.decode("latin-1"))
    return None
