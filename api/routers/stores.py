"""The stores: a list, and one with its certificate."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api.catalogue import Served, ServedStore, catalogue, is_complete
from api.models import StoreDetail, StoreList, StoreSummary
from api.paths import store_href
from api.problems import problem_of, problems
from softstore.errors import SoftstoreError
from softstore.inventory import inventory

router = APIRouter(prefix="/v1/stores", tags=["stores"])


@router.get("", summary="All stores")
def list_stores(request: Request) -> StoreList:
    """Every store served here. One whose manifest cannot be read is listed with its problem."""
    return StoreList(stores=[_summary(request, served) for served in catalogue(request).values()])


@router.get("/{store}", summary="One store", responses=problems(404, 422, 500, 503))
def get_store(request: Request, served: Served) -> StoreDetail:
    """A store's attributes, certificate and sizes."""
    store = served.current()
    href = store_href(request, served.name)
    return StoreDetail(
        name=served.name,
        frames=store.manifest.frames,
        utterances=len(store),
        complete=is_complete(store),
        attributes=store.attributes,
        certificate=store.certificate(),
        track_bytes=inventory(store.frames).track_bytes,
        links={"self": href, "utterances": f"{href}/utterances", "objects": f"{href}/objects"},
    )


def _summary(request: Request, served: ServedStore) -> StoreSummary:
    store = served.current()
    frames = utterances = problem = None
    try:
        frames, utterances = store.manifest.frames, len(store)
    except SoftstoreError as error:
        problem = problem_of(request, error)
    return StoreSummary(
        name=served.name,
        frames=frames,
        utterances=utterances,
        class_count=store.class_count,
        codec=store.codec.name,
        complete=is_complete(store),
        problem=problem,
        links={"self": store_href(request, served.name)},
    )
