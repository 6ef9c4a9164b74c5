"""What the service answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.problems import Problem
from softstore.format import Attributes, Generation, RunRecord, Skipped, Teacher
from softstore.inventory import SplitSize
from softstore.store_certificate import KlSummary


class Health(BaseModel):
    status: Literal["ok"]


class StoreSummary(BaseModel):
    """One store, in a line; what cannot be read of it is null."""

    name: str = Field(examples=["demo"])
    frames: int | None = Field(
        default=None,
        description="Published frames; null also of a large store that is not complete: `GET` it to have "
        "them counted.",
        examples=[5400],
    )
    utterances: int | None = Field(default=None, description="Published utterances.", examples=[12])
    class_count: int | None = Field(
        default=None, description="Senones: the width of a row of posteriors.", examples=[2008]
    )
    codec: str | None = Field(default=None, description="How posteriors are stored.", examples=["transform"])
    complete: bool = Field(default=False, description="Whether generation has finished.")
    problem: Problem | None = Field(default=None, description="Why the store cannot be read.")
    links: dict[str, str] = Field(examples=[{"self": "/v1/stores/demo"}])


class StoreList(BaseModel):
    stores: list[StoreSummary]


class Certificate(BaseModel):
    """How far what decoding gives back is from what was to be stored, over all frames, as measured."""

    against: Literal["teacher", "source"] = Field(
        description="Whose posteriors were to be stored: the teacher's, or those of the store that this one "
        "was recoded from, whose own loss `recoded_from` of the provenance has."
    )
    frames: int = Field(examples=[5400])
    mean_entropy: float = Field(description="Of the posteriors at T = 1, in nats.", examples=[1.46])
    kl: list[KlSummary] = Field(
        description="KL(p_T ‖ p̂_T) in nats at each temperature: mean, 99.9th percentile, maximum.",
        examples=[[{"temperature": 1.0, "mean": 0.0015, "p999": 0.01, "max": 0.03}]],
    )


class StoreDetail(BaseModel):
    """A store: what it holds, what its readers get, and where its bytes go."""

    name: str = Field(examples=["demo"])
    complete: bool = Field(description="Whether generation has finished.")
    utterances: int = Field(description="Published utterances.", examples=[12])
    frames: int = Field(description="Published frames.", examples=[5400])
    hours: float = Field(description="Of speech.", examples=[0.015])
    shards: int = Field(description="Published shards.", examples=[1])
    splits: dict[str, SplitSize] = Field(
        examples=[{"train": {"utterances": 10, "speakers": 3, "frames": 4500}}]
    )
    track_bytes: dict[str, int] = Field(
        description="Bytes of the published objects, by track.", examples=[{"targets/classes": 1048576}]
    )
    codec_bytes: int = Field(description="What the codec needs once.", examples=[0])
    target_bytes_per_frame: float | None = Field(description="Of the soft targets.", examples=[197.2])
    ratio_to_float32: float | None = Field(
        description="How many times smaller than the same posteriors in float32.", examples=[40.7]
    )
    attributes: Attributes = Field(description="The store's own attributes, as stored.")
    certificate: Certificate
    links: dict[str, str] = Field(
        examples=[{"self": "/v1/stores/demo", "objects": "/v1/stores/demo/objects"}]
    )


class Provenance(BaseModel):
    """Who made a store, from what, in which runs, and what they left out."""

    teacher: Teacher | None = Field(description="Fingerprint and description.")
    features: dict[str, Any] = Field(description="What the teacher saw.", examples=[{"kind": "fbank"}])
    features_fingerprint: str | None = Field(description="SHA-256 of that, as runs name it.")
    corpus: dict[str, Any] = Field(description="Where the utterances come from.")
    created_by: str = Field(examples=["softstore 0.1.0"])
    recoded_from: list[Generation] = Field(description="Stores that the posteriors went through, in order.")
    runs: list[RunRecord] = Field(description="What wrote to the store, in the order of its beginning.")
    skipped: list[Skipped] = Field(description="What runs left out, and nobody has stored since.")
    links: dict[str, str]


class ClassNames(BaseModel):
    """Names of a store's classes."""

    class_count: int = Field(description="Classes of the store.", examples=[2008])
    start: int = Field(description="The first class of this page.", examples=[0])
    stop: int = Field(description="One beyond the last class of this page.", examples=[2])
    classes: list[str] | None = Field(
        description="Names of those; null if the store does not know them: they are called by their numbers.",
        examples=[["SIL[0] *_*", "AH[2] D|S|T…_N"]],
    )
    links: dict[str, str] = Field(description="`self`, `store`, and `next` unless this is the last page.")


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


class ListedUtterance(BaseModel):
    """A row of the manifest, or the columns of it that were asked for."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"utterance_id": "cv-0001", "num_frames": 500, "speaker": "anna", "split": "cv"}]
        },
    )

    utterance_id: str


class UtterancePage(BaseModel):
    """Utterances in the order asked for."""

    utterances: list[ListedUtterance]
    total: int | None = Field(
        description="How many match, on all pages together; null with `count=false`.", examples=[12]
    )
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")
    links: dict[str, str] = Field(description="`self`, and `next` unless this is the last page.")


class UtteranceDetail(BaseModel):
    utterance: Utterance
    links: dict[str, str] = Field(
        description="Everything there is about it.",
        examples=[{"self": "/v1/stores/demo/utterances/cv-0001"}],
    )


class FrameSpan(BaseModel):
    """Which frames an answer is about."""

    utterance_id: str = Field(examples=["cv-0001"])
    start: int = Field(description="First frame.", examples=[0])
    stop: int = Field(description="One beyond the last frame.", examples=[2])


class Softened(FrameSpan):
    temperature: float = Field(examples=[2.0])


class Posteriors(Softened):
    """Posteriors of a span of frames; every row of all classes sums to 1."""

    log: bool = Field(description="Whether these are log p_T in nats; null is then -inf.", examples=[False])
    classes: list[list[int]] | list[int] | None = Field(
        description="Classes of the posteriors: with `top_k` those of each frame, with `classes` those, else "
        "null for all.",
        examples=[[[17, 4], [4, 17]]],
    )
    posteriors: list[list[float | None]] = Field(
        description="(frames, classes), or with `top_k` (frames, k) by falling probability.",
        examples=[[[0.61, 0.2], [0.58, 0.3]]],
    )


class Statistics(Softened):
    """What the distribution of each frame is like."""

    entropy: list[float] = Field(description="-Σ p_T log p_T, in nats.", examples=[[1.2, 0.9]])
    top_class: list[int] = Field(description="The most probable class.", examples=[[17, 4]])
    confidence: list[float] = Field(description="Its posterior.", examples=[[0.61, 0.58]])
    margin: list[float] = Field(description="Less that of the second.", examples=[[0.41, 0.28]])


class Divergence(Softened):
    """How far two stores are apart in each frame."""

    other: str = Field(description="The store that q is of.", examples=["demo-topk"])
    kl: list[float | None] = Field(description="KL(p_T ‖ q_T), in nats.", examples=[[0.001, 0.0004]])


class Labels(FrameSpan):
    labels: list[int] = Field(description="The senone of each frame.", examples=[[17, 17]])


class Features(FrameSpan):
    features: list[list[float]] = Field(description="(frames, dimensions)", examples=[[[0.1, -1.2]] * 2])
