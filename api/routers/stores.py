"""The stores: a list, and one with its sizes, its certificate and its past."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.catalogue import Served, ServedStore, is_complete, readable_stores
from api.conditional import NOT_MODIFIED, growing
from api.formats import JsonResponse
from api.models import Certificate, Provenance, StoreDetail, StoreList, StoreSummary
from api.once import Once
from api.paths import store_href
from api.problems import problem_of, problems
from softstore import Store
from softstore.errors import SoftstoreError
from softstore.inventory import inventory
from softstore.manifest import Manifest
from softstore.provenance import features_fingerprint

router = APIRouter(prefix="/v1/stores", tags=["stores"])

# Both go through the whole manifest, piece by piece: of ten million utterances for seconds.
_inventory = Once(lambda store: inventory(store.frames))
_certificate = Once(Store.certificate)


def _responses(model: type) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": model},
        **NOT_MODIFIED,
        **problems(404, 422, 500, 503),
    }


@router.get("", summary="All stores")
def list_stores(request: Request) -> StoreList:
    """Every store there is for whoever asks. One that cannot be read is listed with its problem."""
    return StoreList(stores=[_summary(request, served) for served in readable_stores(request)])


@router.get("/{store}", summary="One store", response_class=JsonResponse, responses=_responses(StoreDetail))
def get_store(request: Request, served: Served) -> Response:
    """A store's attributes, certificate and sizes, as `softstore info --json` has them.

    They are counted when they are first asked for, and again once the store has grown: of ten million
    utterances that takes a quarter of a minute.
    """
    href = store_href(request, served.name)
    below = ("certificate", "provenance", "classes", "utterances", "objects")

    def detail(store: Store) -> StoreDetail:
        return StoreDetail(
            name=served.name,
            complete=is_complete(store),
            **dataclasses.asdict(_inventory(store)),
            attributes=store.attributes,
            certificate=_certified(store),
            links={"self": href, **{name: f"{href}/{name}" for name in below}},
        )

    return _answer(request, served, "store", detail)


@router.get(
    "/{store}/certificate",
    summary="What a store's readers get",
    response_class=JsonResponse,
    responses=_responses(Certificate),
)
def get_certificate(request: Request, served: Served) -> Response:
    """How far decoded posteriors are from those that were to be stored, measured on the stored bytes."""
    return _answer(request, served, "certificate", _certified)


@router.get(
    "/{store}/provenance",
    summary="Where a store comes from",
    response_class=JsonResponse,
    responses=_responses(Provenance),
)
def get_provenance(request: Request, served: Served) -> Response:
    """The teacher, the corpus, every run that wrote to the store, and the utterances that they skipped."""
    href = store_href(request, served.name)

    def provenance(store: Store) -> Provenance:
        known = store.attributes
        return Provenance(
            **{name: getattr(known, name) for name in Provenance.model_fields if hasattr(known, name)},
            features_fingerprint=features_fingerprint(known.features) if known.features else None,
            links={"self": f"{href}/provenance", "store": href},
        )

    return _answer(request, served, "provenance", provenance)


def _answer(
    request: Request, served: ServedStore, what: str, describe: Callable[[Store], BaseModel]
) -> Response:
    """What is to be said of the store as it is, unless the client has it already."""
    store = served.current()
    version = growing(request, [store], what)
    if version.unchanged:
        return version.not_modified()
    return JsonResponse(describe(store).model_dump(mode="json"), headers=version.headers)


def _certified(store: Store) -> Certificate:
    against = "source" if store.attributes.recoded_from else "teacher"
    return Certificate.model_validate({"against": against, **dataclasses.asdict(_certificate(store))})


def _summary(request: Request, served: ServedStore) -> StoreSummary:
    summary = StoreSummary(name=served.name, links={"self": store_href(request, served.name)})
    try:
        store = served.current()
        known = {"class_count": store.class_count, "codec": store.codec.name, "complete": is_complete(store)}
        summary = summary.model_copy(update=known)
        return summary.model_copy(update={"frames": _frames(store), "utterances": len(store)})
    except SoftstoreError as error:
        return summary.model_copy(update={"problem": problem_of(request, error)})


def _frames(store: Store) -> int | None:
    """As far as they are known without going through a large manifest."""
    lookup, complete = store.frames.lookup, store.attributes.complete
    if isinstance(lookup, Manifest):
        return lookup.frames
    return complete.frames if complete is not None and is_complete(store) else None
