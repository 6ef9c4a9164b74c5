"""What each frame's distribution is like, and how far those of two stores are from one another."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from anyio import from_thread
from fastapi import APIRouter, Header, Query, Request, Response
from torch import Tensor

from api import metrics
from api.bodies import columns_response
from api.catalogue import Served, ServedStore, find_store
from api.conditional import NOT_MODIFIED, published
from api.decoding import decode
from api.formats import ARROW, JSON, NPY, JsonResponse, binary, negotiate
from api.models import Divergence, Statistics
from api.paths import UtteranceId
from api.problems import ProblemError, problems
from api.queries import DivergenceQuery, SoftQuery
from api.spans import asked_span
from softstore import StoredUtterance
from softstore.errors import ErrorKind
from softstore.softening import entropy, kl_divergence

router = APIRouter(prefix="/v1/stores/{store}/utterances", tags=["statistics"])

STATISTICS = np.dtype([("entropy", "<f4"), ("top_class", "<u4"), ("confidence", "<f4"), ("margin", "<f4")])
"""Of one frame."""

DIVERGENCE = np.dtype([("kl", "<f4")])

_ROWS = "A row for each frame, with the JSON answer's lists as columns; the rest is in the schema's metadata."


def _responses(model: type, npy: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "model": model,
            "description": "One value or more for each frame asked for.",
            "content": {NPY: binary(npy), ARROW: binary(_ROWS)},
        },
        **NOT_MODIFIED,
        **problems(404, 406, *statuses, 422, 429, 500, 503),
    }


@router.get(
    "/{utterance_id:path}/statistics",
    summary="Entropy and confidence of each frame",
    response_class=JsonResponse,
    responses=_responses(Statistics, f"A structured array (frames,) with the fields {STATISTICS.names}."),
)
def get_statistics(
    request: Request,
    served: Served,
    utterance_id: UtteranceId,
    query: Annotated[SoftQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """For each frame, at any temperature: how unsure the teacher is, and of what it is surest."""
    media_type = negotiate(accept, (JSON, NPY, ARROW))
    utterance = served.current()[utterance_id]
    span = asked_span(utterance, query, media_type, len(STATISTICS.names or ()))
    version = published(request, [utterance], "statistics", media_type, query.temperature, span)
    if version.unchanged:
        return version.not_modified()
    metrics.frames_decoded(served.name, span[1] - span[0])
    rows = _statistics(utterance, query.temperature, *span)
    return columns_response(rows, _described(utterance, query, span), media_type, version.headers)


@router.get(
    "/{utterance_id:path}/divergence",
    summary="How far two stores are apart",
    response_class=JsonResponse,
    responses=_responses(Divergence, "A structured array (frames,) with the field `kl` (float32).", 409),
)
def get_divergence(
    request: Request,
    served: Served,
    utterance_id: UtteranceId,
    query: Annotated[DivergenceQuery, Query()],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """KL(p_T ‖ q_T) of each frame in nats: p of this store, q of `other`, of the same utterance.

    Both must have the same classes and as many frames of it (409).
    """
    media_type = negotiate(accept, (JSON, NPY, ARROW))
    other = from_thread.run(find_store, request, query.other)
    p, q = served.current()[utterance_id], other.current()[utterance_id]
    _check_same(p, q, served, other)
    span = asked_span(p, query, media_type)
    version = published(request, [p, q], "divergence", media_type, query.temperature, span)
    if version.unchanged:
        return version.not_modified()
    for one in (served, other):
        metrics.frames_decoded(one.name, span[1] - span[0])
    rows = np.empty(span[1] - span[0], DIVERGENCE)
    both = (decode(utterance, query.temperature, *span) for utterance in (p, q))
    rows["kl"] = _joined([kl_divergence(log_p, log_q) for log_p, log_q in zip(*both, strict=True)])
    described = {**_described(p, query, span), "other": other.name}
    return columns_response(rows, described, media_type, version.headers)


def _statistics(
    utterance: StoredUtterance, temperature: float, start: int, stop: int
) -> np.ndarray[Any, np.dtype[np.void]]:
    """Shape (frames,), of `STATISTICS`."""
    entropies: list[Tensor] = []
    values, classes = [torch.empty(0, 2)], [torch.empty(0, 2, dtype=torch.int64)]
    for log_posteriors in decode(utterance, temperature, start, stop):
        entropies.append(entropy(log_posteriors).clamp_min_(0))
        top = log_posteriors.topk(2, dim=-1)
        values.append(top.values.exp_())
        classes.append(top.indices)
    best, second = torch.cat(values).unbind(dim=-1)
    rows = np.empty(stop - start, STATISTICS)
    rows["entropy"] = _joined(entropies)
    rows["top_class"] = torch.cat(classes)[:, 0].numpy()
    rows["confidence"], rows["margin"] = best.numpy(), (best - second).numpy()
    return rows


def _joined(pieces: list[Tensor]) -> np.ndarray[Any, np.dtype[np.float32]]:
    joined: np.ndarray[Any, np.dtype[np.float32]] = torch.cat([torch.empty(0), *pieces]).numpy()
    return joined


def _described(utterance: StoredUtterance, query: SoftQuery, span: tuple[int, int]) -> dict[str, Any]:
    return {
        "utterance_id": utterance.utterance_id,
        "temperature": query.temperature,
        "start": span[0],
        "stop": span[1],
    }


def _check_same(p: StoredUtterance, q: StoredUtterance, ours: ServedStore, theirs: ServedStore) -> None:
    for what, one, two in (
        ("classes", p.frames.attributes.class_count, q.frames.attributes.class_count),
        (f"frames of {p.utterance_id!r}", p.num_frames, q.num_frames),
    ):
        if one != two:
            raise ProblemError(
                409,
                ErrorKind.CONFLICT.value,
                f"Store {ours.name} has {one} {what}, {theirs.name} has {two}: they cannot be compared.",
            )
