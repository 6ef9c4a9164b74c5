"""What a client asks of a batch."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.ensembles import MeanOfTeachers, Members
from api.limits import BATCH_ITEMS
from api.problems import too_much
from api.queries import Temperature
from softstore.errors import InvalidInputError


class Item(BaseModel):
    """An utterance or a span of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    utterance_id: str = Field(examples=["cv-0001"])
    start: Annotated[int, Field(ge=0, le=2**31, description="First frame.")] = 0
    stop: Annotated[
        int | None, Field(ge=0, le=2**31, description="One beyond the last frame; the end if left out.")
    ] = None

    @property
    def place(self) -> tuple[str, int, int | None]:
        """All of it."""
        return self.utterance_id, self.start, self.stop


class Softened(BaseModel):
    """Items, and how their posteriors are wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[
        tuple[Item, ...],
        Field(min_length=1, description=f"At most {BATCH_ITEMS}.", examples=[[{"utterance_id": "cv-0001"}]]),
    ]
    temperature: Temperature = 1.0
    dtype: Literal["float32", "float16"] = Field("float32", description="Of posteriors.")
    top_k: Annotated[
        int | None, Field(ge=1, description="Only the k most probable classes of each frame.", examples=[10])
    ] = None
    tracks: tuple[Literal["labels", "features"], ...] = Field((), description="What else of these frames.")


class BatchRequest(Softened):
    """Items of one store, softened or as stored."""

    encoding: Literal["posteriors", "encoded"] = Field(
        "posteriors",
        description="Posteriors, or the codec's arrays as they are stored, to be decoded by the client at "
        "`temperature`.",
    )


class EnsembleBatchRequest(Softened):
    """Items of several stores as one."""

    stores: Members
    mean: MeanOfTeachers = "arithmetic"


def batch_request(body: bytes) -> BatchRequest:
    """The request in a JSON body.

    Raises:
        InvalidInputError: it is no such request.
        ProblemError: 422, too many items.
    """
    asked = _parse(BatchRequest, body)
    if asked.encoding == "encoded" and (asked.top_k is not None or asked.dtype != "float32"):
        raise InvalidInputError(
            "top_k and dtype are for posteriors: leave them out where encoded is asked for."
        )
    return asked


def ensemble_batch_request(body: bytes) -> EnsembleBatchRequest:
    """The request in a JSON body; raises as `batch_request`."""
    return _parse(EnsembleBatchRequest, body)


_Request = TypeVar("_Request", bound=Softened)


def _parse(kind: type[_Request], body: bytes) -> _Request:
    try:
        asked = kind.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInputError(
            "; ".join(f"{_where(found['loc'])}: {found['msg']}" for found in error.errors(include_url=False))
        ) from error
    if len(asked.items) > BATCH_ITEMS:
        raise too_much(
            f"A batch has at most {BATCH_ITEMS} items, not {len(asked.items)}: send several.", BATCH_ITEMS
        )
    return asked


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "body"
