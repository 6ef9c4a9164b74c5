"""What clients may ask of an utterance's frames, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, model_validator

from api.limits import CHOSEN_CLASSES, HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from api.problems import too_much
from softstore.errors import InvalidInputError

Temperature = Annotated[
    float,
    Query(
        ge=LOWEST_TEMPERATURE,
        le=HIGHEST_TEMPERATURE,
        allow_inf_nan=False,
        description="p_T = softmax(log p / T).",
        examples=[2.0],
    ),
]


class SpanQuery(BaseModel):
    """A span of frames."""

    model_config = ConfigDict(extra="forbid")

    start: Annotated[int, Query(ge=0, description="First frame.", examples=[0])] = 0
    stop: Annotated[
        int | None, Query(ge=0, description="One beyond the last frame; the end if left out.", examples=[2])
    ] = None


class SoftQuery(SpanQuery):
    """A span of frames at a temperature."""

    temperature: Temperature = 1.0


class DivergenceQuery(SoftQuery):
    other: Annotated[
        str,
        Query(max_length=64, description="Name of the store to compare with: q.", examples=["demo-topk"]),
    ]


class PosteriorsQuery(SoftQuery):
    top_k: Annotated[
        int | None,
        Query(ge=1, description="Only the k most probable classes of each frame.", examples=[10]),
    ] = None
    classes: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9]{1,9}(,[0-9]{1,9})*$",
            description=f"Only these classes, in this order: up to {CHOSEN_CLASSES:,} numbers, with commas.",
            examples=["17,4"],
        ),
    ] = None
    dtype: Annotated[
        Literal["float16", "float32", "float64"],
        Query(description="Of the numbers in npy and Arrow; they are computed in float32."),
    ] = "float32"
    log: Annotated[
        bool,
        Query(description="log p_T in nats rather than p_T; in float16, -inf is what is below -65,504."),
    ] = False

    @model_validator(mode="after")
    def _some_classes_only(self) -> PosteriorsQuery:
        if self.top_k is not None and self.classes is not None:
            raise ValueError("top_k and classes choose both: ask for one of them")
        return self

    def chosen_classes(self, class_count: int) -> list[int] | None:
        """Raises `InvalidInputError` where there is no such class, `ProblemError` where they are too many."""
        if self.classes is None:
            return None
        chosen = [int(number) for number in self.classes.split(",")]
        if len(chosen) > CHOSEN_CLASSES:
            raise too_much(
                f"Up to {CHOSEN_CLASSES} classes can be chosen, not {len(chosen)}: leave it out for all.",
                CHOSEN_CLASSES,
            )
        if max(chosen) >= class_count:
            raise InvalidInputError(f"classes: there are 0 to {class_count - 1}, no {max(chosen)}.")
        return chosen
