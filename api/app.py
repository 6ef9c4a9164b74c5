"""The application: stores in, FastAPI out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api import problems
from api.catalogue import Catalogue
from api.paths import UndecodedPath
from api.routers import health, objects, utterances
from api.routers import stores as store_routes
from softstore import __version__

_DESCRIPTION = """\
A teacher's posteriors at any temperature, and the stores they lie in.

Errors are `application/problem+json` with a `code` that never changes its meaning. A store's `objects` are
what `softstore.open`, zarr or tensorstore read: give them `/v1/stores/NAME/objects` as the URL.
"""


def create_app(stores: Mapping[str, str | os.PathLike[str]]) -> FastAPI:
    """A service for ``stores``, from name to path or URL (see `softstore.storage`), all opened now.

    Raises:
        InvalidInputError: a name that cannot stand in a URL.
        NotFoundError, NotAStoreError, FormatError, StorageError: a store does not open; see `softstore.open`.
    """
    app = FastAPI(
        title="softstore",
        version=__version__,
        description=_DESCRIPTION,
        # The pages that FastAPI offers load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.catalogue = Catalogue(stores)
    app.add_middleware(UndecodedPath)
    problems.install(app)
    # Posteriors before utterances: an utterance's path would match both.
    for router in (store_routes.router, utterances.router, objects.router, health.router):
        app.include_router(router)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document plus the schema of problems, which its ``responses`` can only name under JSON."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    schemas["Problem"] = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return document
