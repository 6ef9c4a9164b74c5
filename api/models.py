"""What the service answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from api.limits import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, PAGE_UTTERANCES
from api.problems import Problem
from softstore.format import Attributes
from softstore.store_certificate import StoreCertificate


class Health(BaseModel):
    status: Literal["ok"]


class StoreSummary(BaseModel):
    """One store, in a line."""

    name: str = Field(examples=["demo"])
    frames: int | None = Field(description="Published frames; null if the manifest cannot be read.")
    utterances: int | None = Field(description="Published utterances; null if the manifest cannot be read.")
    class_count: int = Field(description="Senones: the width of a row of posteriors.", examples=[2008])
    codec: str = Field(description="How posteriors are stored.", examples=["transform"])
    complete: bool = Field(description="Whether generation has finished.")
    problem: Problem | None = Field(None, description="Why the manifest cannot be read.")
    links: dict[str, str] = Field(examples=[{"self": "/v1/stores/demo"}])


class StoreList(BaseModel):
    stores: list[StoreSummary]


class StoreDetail(BaseModel):
    """A store: where it comes from, what its readers get, and where its bytes go."""

    name: str = Field(examples=["demo"])
    frames: int = Field(description="Published frames.")
    utterances: int = Field(description="Published utterances.")
    complete: bool = Field(description="Whether generation has finished.")
    attributes: Attributes = Field(description="The store's own attributes, as stored.")
    certificate: StoreCertificate = Field(
        description="KL(p_T ‖ p̂_T) in nats between the teacher and what decoding gives back, over all frames."
    )
    track_bytes: dict[str, int] = Field(
        description="Bytes of the published objects, by track.", examples=[{"targets/classes": 1048576}]
    )
    links: dict[str, str] = Field(
        examples=[{"self": "/v1/stores/demo", "objects": "/v1/stores/demo/objects"}]
    )


class Utterance(BaseModel):
    """One row of the manifest; the corpus's own columns come along."""

    model_config = ConfigDict(extra="allow")

    utterance_id: str = Field(examples=["cv-0001"])
    num_frames: int = Field(examples=[500])
    shard: int
    first_frame: int = Field(description="On the frame axis of the whole store.")
    speaker: str | None
    split: str | None = Field(examples=["cv"])
    text: str | None


class UtterancePage(BaseModel):
    """Utterances in stored order."""

    utterances: list[Utterance]
    total: int = Field(description="How many match, on all pages together.")
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")
    links: dict[str, str] = Field(description="`self`, and `next` unless this is the last page.")


class UtteranceDetail(BaseModel):
    utterance: Utterance
    links: dict[str, str]


class Posteriors(BaseModel):
    """Posteriors of a span of frames; every row of all classes sums to 1."""

    utterance_id: str = Field(examples=["cv-0001"])
    temperature: float = Field(examples=[2.0])
    start: int = Field(description="First frame.", examples=[0])
    stop: int = Field(description="One beyond the last frame.", examples=[2])
    classes: list[list[int]] | None = Field(
        None,
        description="With `top_k`: the senones of the posteriors.",
        examples=[[[17, 4], [4, 17]]],
    )
    posteriors: list[list[float]] = Field(
        description="(frames, classes), or with `top_k` (frames, k) by falling probability.",
        examples=[[[0.61, 0.2], [0.58, 0.3]]],
    )


class UtteranceQuery(BaseModel):
    """Any other parameter is a manifest column that must equal the value."""

    model_config = ConfigDict(extra="allow")

    split: Annotated[str | None, Query(description="Only this split.", examples=["cv"])] = None
    speaker: Annotated[str | None, Query(description="Only this speaker.")] = None
    limit: Annotated[int, Query(ge=1, le=PAGE_UTTERANCES, description="Utterances in a page.")] = 100
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None

    def columns(self) -> dict[str, Any]:
        """The values that manifest columns must equal, as text (a list where a parameter came twice)."""
        named = {"split": self.split, "speaker": self.speaker}
        return {name: value for name, value in named.items() if value is not None} | (self.model_extra or {})


class PosteriorsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    temperature: Annotated[
        float,
        Query(
            ge=LOWEST_TEMPERATURE,
            le=HIGHEST_TEMPERATURE,
            allow_inf_nan=False,
            description="p_T = softmax(log p / T).",
            examples=[2.0],
        ),
    ] = 1.0
    start: Annotated[int, Query(ge=0, description="First frame.")] = 0
    stop: Annotated[
        int | None, Query(ge=0, description="One beyond the last frame; the end if left out.")
    ] = None
    top_k: Annotated[
        int | None, Query(ge=1, description="Only the k most probable classes of each frame.", examples=[10])
    ] = None
