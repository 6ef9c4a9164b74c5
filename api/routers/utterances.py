"""Utterances of a store."""

from __future__ import annotations

import io
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter, Header, Query, Request, Response

from api.bodies import METADATA
from api.catalogue import Served
from api.conditional import NOT_MODIFIED, growing, published
from api.formats import ARROW, JSON, PARQUET, JsonResponse, binary, negotiate
from api.limits import PAGE_ROWS, PAGE_UTTERANCES
from api.listing import Page, page
from api.listing_query import COLUMN_CONDITIONS, UtteranceQuery
from api.models import UtteranceDetail, UtterancePage
from api.paths import UtteranceId, store_href, utterance_href
from api.problems import problems, too_much
from api.rows import rows_of
from softstore import Store
from softstore.errors import InvalidInputError
from softstore.format import FEATURES, LABELS

router = APIRouter(prefix="/v1/stores/{store}/utterances", tags=["utterances"])

_TABLE = (
    "The same rows with all columns as they are stored; `total` and `next_cursor` are JSON under the key "
    "`softstore` of the schema's metadata. "
)
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "model": UtterancePage,
        "description": "A page; its `Link` header names the next one.",
        "content": {ARROW: binary(f"{_TABLE}An IPC stream."), PARQUET: binary(f"{_TABLE}A Parquet file.")},
    },
    **NOT_MODIFIED,
    **problems(404, 406, 422, 500, 503),
}


@router.get(
    "",
    summary="Utterances of a store",
    response_class=JsonResponse,
    responses=_PAGE,
    openapi_extra={"parameters": [COLUMN_CONDITIONS]},
)
def list_utterances(
    request: Request,
    served: Served,
    query: Annotated[UtteranceQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """A page of the manifest as JSON, Arrow or Parquet (by Accept): filtered by any column, searched, sorted.

    `?split=cv&num_frames[gte]=100&num_frames[lt]=500&sort=-snr_db` lists the utterances of the split `cv`
    that have 100 to 499 frames, the least noisy first.

    Pages follow one another by `next_cursor` (or the `Link` header), and stay as they are while the store
    grows: no utterance comes twice, and none is left out that was there from the start.
    """
    media_type = negotiate(accept, (JSON, ARROW, PARQUET))
    _check_limit(query.limit, media_type)
    wanted, columns = query.wanted(), query.chosen_columns()
    store = served.current()
    version = growing(request, [store], "utterances", media_type, str(request.url.query))
    if version.unchanged:
        return version.not_modified()
    found = page(store, wanted, query.limit, query.cursor, query.count)
    table = found.rows if columns is None else _choose(store, found.rows, columns)
    links = _links(request, served.name, found.next_cursor)
    headers = dict(version.headers)
    if "next" in links:
        headers["Link"] = f'<{links["next"]}>; rel="next"'
    if media_type == JSON:
        numbers = {"total": found.total, "next_cursor": found.next_cursor}
        return JsonResponse({"utterances": table.to_pylist(), **numbers, "links": links}, headers=headers)
    return Response(_table_bytes(table, found, media_type), headers=headers, media_type=media_type)


@router.get(
    "/{utterance_id:path}",
    summary="One utterance",
    response_class=JsonResponse,
    responses={
        200: {"model": UtteranceDetail},
        **NOT_MODIFIED,
        **problems(404, 422, 500, 503),
    },
)
def get_utterance(request: Request, served: Served, utterance_id: UtteranceId) -> Response:
    """An utterance's row of the manifest, with what it certifies, and links to everything about it."""
    store = served.current()
    utterance = store[utterance_id]
    href = utterance_href(request, served.name, utterance_id)
    tracks = [track for track in (LABELS, FEATURES) if track in store.attributes.tracks]
    links = {
        "self": href,
        **{name: f"{href}/{name}" for name in ("posteriors", "statistics", "divergence", *tracks)},
        "store": store_href(request, served.name),
    }
    version = published(request, [utterance], "utterance", links)
    if version.unchanged:
        return version.not_modified()
    return JsonResponse({"utterance": dict(utterance.row), "links": links}, headers=version.headers)


def _check_limit(limit: int, media_type: str) -> None:
    most = PAGE_UTTERANCES if media_type == JSON else PAGE_ROWS
    if limit > most:
        raise too_much(f"limit: a page in {media_type} has at most {most} utterances, not {limit}.", most)


def _choose(store: Store, table: pa.Table, columns: list[str]) -> pa.Table:
    """Those columns; null where these rows have none, but others do."""
    missing = [name for name in columns if name not in table.column_names]
    schema = rows_of(store).schema if missing else table.schema
    for name in missing:
        if name not in schema.names:
            raise InvalidInputError(
                f"columns: there is no manifest column {name!r}; there are {', '.join(schema.names)}."
            )
        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table.select(columns)


def _links(request: Request, store: str, cursor: str | None) -> dict[str, str]:
    here = f"{store_href(request, store)}/utterances"
    links = {"self": f"{here}?{request.url.query}" if request.url.query else here}
    if cursor is not None:
        asked = [item for item in request.query_params.multi_items() if item[0] != "cursor"]
        links["next"] = f"{here}?{urlencode([*asked, ('cursor', cursor)])}"
    return links


def _table_bytes(table: pa.Table, found: Page, media_type: str) -> bytes:
    numbers = {"total": found.total, "next_cursor": found.next_cursor}
    table = table.replace_schema_metadata({METADATA: orjson.dumps(numbers)})
    sink = io.BytesIO()
    if media_type == PARQUET:
        pq.write_table(table, sink, compression="zstd")
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()
