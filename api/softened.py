"""Posteriors of one utterance, of a store or of several as one, in the format that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from api.bodies import arrow_response, npy_response
from api.decoding import Softening, dense, heaviest, pieces_of
from api.formats import ARROW, JSON, NPY, JsonResponse
from api.queries import PosteriorsQuery
from api.spans import asked_span
from softstore import StoredUtterance
from softstore.ensemble import EnsembleUtterance
from softstore.errors import InvalidInputError

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query wants of an utterance that there is."""

    media_type: str
    wanted: Softening
    top_k: int | None
    start: int
    stop: int
    width: int

    @classmethod
    def of(
        cls, utterance: StoredUtterance | EnsembleUtterance, query: PosteriorsQuery, media_type: str
    ) -> Asked:
        """Raises `InvalidInputError` if there is no such span or class, `ProblemError` if it is too much."""
        class_count = utterance.frames.attributes.class_count
        chosen = query.chosen_classes(class_count)
        if query.top_k is not None and query.top_k > class_count:
            raise InvalidInputError(
                f"top_k must lie between 1 and the {class_count} classes, not {query.top_k}."
            )
        width = query.top_k or len(chosen or range(class_count))
        span = asked_span(utterance, query, media_type, width)
        wanted = Softening(query.temperature, query.log, query.dtype, chosen)
        return cls(media_type, wanted, query.top_k, *span, width)

    @property
    def frames(self) -> int:
        return self.stop - self.start


def respond(
    utterance: StoredUtterance | EnsembleUtterance,
    asked: Asked,
    named: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Response:
    """The answer.

    Args:
        named: what it is about, for formats that can say so.

    Raises:
        CorruptDataError: bytes are missing or damaged.
    """
    wanted = asked.wanted
    described = {
        **named,
        "temperature": wanted.temperature,
        "start": asked.start,
        "stop": asked.stop,
        "log": wanted.log,
        "classes": wanted.classes,
    }
    if asked.top_k is not None:
        return _top(utterance, asked.top_k, asked, described, headers)
    arrays = (piece.numpy() for piece in dense(utterance, wanted, asked.start, asked.stop))
    if asked.media_type == NPY:
        return npy_response(arrays, wanted.dtype, (asked.frames, asked.width), headers)
    empty = np.empty((0, asked.width), wanted.dtype)
    if asked.media_type == ARROW:
        columns: Iterator[Columns] = ({"posteriors": array} for array in arrays)
        rows = pieces_of(asked.frames, utterance.frames.attributes.class_count)
        return arrow_response(columns, {"posteriors": empty}, rows, described, headers)
    return JsonResponse({**described, "posteriors": np.concatenate([empty, *arrays])}, headers=dict(headers))


def _top(
    utterance: StoredUtterance | EnsembleUtterance,
    k: int,
    asked: Asked,
    described: dict[str, Any],
    headers: Mapping[str, str],
) -> Response:
    found = heaviest(utterance, k, asked.wanted, asked.start, asked.stop)
    classes, posteriors = found[0].numpy().astype(np.uint32), found[1].numpy()
    columns = {"classes": classes, "posteriors": posteriors}
    if asked.media_type == JSON:
        return JsonResponse({**described, **columns}, headers=dict(headers))
    if asked.media_type == ARROW:
        empty = {name: array[:0] for name, array in columns.items()}
        return arrow_response([columns], empty, [asked.frames], described, headers)
    both = np.empty(classes.shape, [("class", "<u4"), ("posterior", posteriors.dtype)])
    both["class"], both["posterior"] = classes, posteriors
    return npy_response([both], both.dtype, both.shape, headers)
