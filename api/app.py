"""The application: stores in, FastAPI out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import torch
from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api import deprecation, problems
from api.answers import Answers
from api.auth import Admission, Authentication, Tokens
from api.cache import Cache
from api.catalogue import Catalogue
from api.express import STATE, Express
from api.lean import Lean, LeanRoutes
from api.limits import SMALL_THREADS, Limits
from api.logs import AccessLog
from api.middleware.bodies import Bodies
from api.middleware.compression import Compression
from api.middleware.failures import Failures
from api.middleware.heavy import Heavy
from api.middleware.observation import Observation
from api.middleware.patience import Patience
from api.observer import Observer
from api.openapi import describe, operation_id
from api.paths import UndecodedPath
from api.routers import (
    batch,
    classes,
    ensembles,
    health,
    objects,
    page,
    posteriors,
    statistics,
    tracks,
    utterances,
)
from api.routers import stores as store_routes
from api.settings import ServiceSettings, load_settings
from api.tracing import Tracing
from softstore import __version__
from softstore.allocation import keep_memory

_DESCRIPTION = """\
A teacher's posteriors at any temperature, and the stores they lie in.

Errors are `application/problem+json` with a `code` that never changes its meaning. A store's `objects` are
what `softstore.open`, zarr or tensorstore read: give them `/v1/stores/NAME/objects` as the URL.

Every answer has an `X-Request-ID`: the request's own, if it has up to 128 letters, digits and `._:/+=-`.

Beyond what is said of each operation: a body over the limit is 413, one that does not arrive in time 408,
a URL and headers of more than 64 KiB 431, an answer that does not begin in time 503. Text and JSON come as
zstd or gzip where `Accept-Encoding` says so.

Within `/v1` nothing is taken away or changes its meaning; fields, parameters and routes may be added. What is
to go says so for at least a year, by `Deprecation`, `Sunset` and `Link: rel="successor-version"`.
"""


def create_app(
    stores: Mapping[str, str | os.PathLike[str]], settings: ServiceSettings | None = None
) -> FastAPI:
    """A service for ``stores``, from name to path or URL (see `softstore.storage`), all opened now.

    To run, or to mount below another application. Whose address it is served at and to whom, is for whoever
    runs it to see to: without ``settings.tokens``, everybody reads.

    Args:
        settings: None: those of the environment. Stores below its ``root`` are served, too; those that it
            names, its host, port, workers and certificate are for `softstore serve`.

    Raises:
        InvalidInputError: a name that cannot stand in a URL, settings that do not fit, or no file of tokens.
        MissingDependencyError: the settings want spans, and OpenTelemetry is not installed.
        NotFoundError, NotAStoreError, FormatError, StorageError: a store does not open; see `softstore.open`.
    """
    settings = settings or load_settings()
    catalogue = Catalogue(stores, settings.root)
    access_log = AccessLog(settings.log_format) if settings.access_log else None
    observer = Observer(catalogue, access_log)
    admission = Admission(Tokens(settings.tokens)) if settings.tokens else None
    lean = LeanRoutes((objects.router, batch.router, ensembles.router, posteriors.router))
    app = FastAPI(
        title="softstore",
        version=__version__,
        description=_DESCRIPTION,
        # The pages that FastAPI offers load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        middleware=_layers(settings, observer, admission, lean),
        lifespan=_lifespan(settings.limits, access_log),
        # `api.tracing` knows the store too, and works with every release of FastAPI.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.catalogue = catalogue
    app.state.cache = Cache[bytes](settings.limits.cache_bytes, len)
    app.state.answers = Answers(settings.limits.cache_bytes)
    app.state.settings = settings
    app.state.cache_scope = "private" if settings.tokens else "public"
    # Spans and notices of deprecation are for layers: there, every answer goes through them.
    plain = not settings.tracing and not deprecation.DEPRECATED
    app.state.express = Express(app, lean, observer, admission) if plain else None
    problems.install(app)
    # Utterances last of theirs: an utterance's path would match all of them.
    for router in (
        store_routes.router,
        classes.router,
        posteriors.router,
        statistics.router,
        tracks.router,
        utterances.router,
        objects.router,
        batch.router,
        ensembles.router,
        health.router,
        page.router,
    ):
        app.include_router(router)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _layers(
    settings: ServiceSettings, observer: Observer, admission: Admission | None, lean: LeanRoutes
) -> list[Middleware]:
    """The layers around the routes, the outermost first; each is plain ASGI and costs microseconds."""
    limits = settings.limits
    deprecated = deprecation.DEPRECATED
    return [
        # What all others see is the path as it was sent.
        Middleware(UndecodedPath),
        # Sees every answer, be it of another layer; nothing fails outside of it.
        Middleware(Observation, observer=observer, tracing=Tracing() if settings.tracing else None),
        # Around what refuses: a page elsewhere may read why.
        *([_cross_origin(settings.cors_origins)] if settings.cors_origins else []),
        # Turns what the layers and routes inside raise into problems.
        Middleware(Failures),
        # Before anything is done for a request.
        *([Middleware(Authentication, admission=admission)] if admission else []),
        # Its time runs while a body is awaited and while a request waits for its turn.
        Middleware(Patience, seconds=limits.request_seconds),
        # A body is there before its request takes a turn: slow clients hold up nobody.
        Middleware(Bodies, limit=limits.body_bytes),
        Middleware(Heavy, running=limits.decoding, waiting=limits.waiting),
        # Inside of the turns: to compress is work, too.
        Middleware(Compression),
        *([Middleware(deprecation.Deprecations, deprecated=deprecated)] if deprecated else []),
        # Last: what it answers, FastAPI does not see.
        Middleware(Lean, routes=lean),
    ]


def _cross_origin(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "If-Range", "Range", "X-Request-ID"],
        expose_headers=["Accept-Ranges", "Content-Range", "ETag", "Link", "Retry-After", "X-Request-ID"],
    )


def _lifespan(
    limits: Limits, access_log: AccessLog | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        # Whoever decodes has a thread, and there are some left for small answers.
        to_thread.current_default_thread_limiter().total_tokens = limits.decoding + SMALL_THREADS
        # Each of them decodes alone: threads of one request that wait for those of another crawl.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        keep_memory()
        yield {STATE: app.state.express}
        torch.set_num_threads(threads)
        if access_log is not None:
            access_log.flush()

    return lifespan
