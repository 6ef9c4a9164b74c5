"""What a store's classes are called."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.catalogue import Served
from api.conditional import NOT_MODIFIED, growing
from api.formats import JsonResponse
from api.limits import PAGE_CLASSES
from api.models import ClassNames
from api.paths import store_href
from api.problems import problems
from api.queries import SpanQuery
from softstore.errors import InvalidInputError

router = APIRouter(prefix="/v1/stores/{store}/classes", tags=["stores"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ClassNames},
    **NOT_MODIFIED,
    **problems(404, 422, 500, 503),
}


@router.get("", summary="Names of a store's classes", response_class=JsonResponse, responses=_RESPONSES)
def get_classes(request: Request, served: Served, query: Annotated[SpanQuery, Query()]) -> Response:
    """What classes `start` to `stop` are called, if the corpus of the store names its senones."""
    store = served.current()
    count, names = store.class_count, store.attributes.class_names
    stop = count if query.stop is None else query.stop
    if not query.start <= stop <= count:
        raise InvalidInputError(
            f"Store {served.name} has classes 0 to {count}, no span from {query.start} to {stop}."
        )
    page = min(stop, query.start + PAGE_CLASSES)
    version = growing(request, [store], "classes", query.start, page)
    if version.unchanged:
        return version.not_modified()
    href = store_href(request, served.name)
    links = {"self": f"{href}/classes?start={query.start}&stop={page}", "store": href}
    if page < stop:
        links["next"] = f"{href}/classes?start={page}&stop={stop}"
    found = names[query.start : page] if names else None
    answer = ClassNames(class_count=count, start=query.start, stop=page, classes=found, links=links)
    return JsonResponse(answer.model_dump(mode="json"), headers=version.headers)
