"""Several served stores as one teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from api.catalogue import ServedStore, find_store
from api.limits import ENSEMBLE_STORES
from api.problems import too_much

MeanOfTeachers = Annotated[
    Literal["arithmetic", "geometric"],
    Field(description="Σ w p_T, or the same of log p_T, normalised; every store is softened by itself."),
]


class Member(BaseModel):
    """A store, and how much it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = Field(description="Its name.", examples=["demo"])
    weight: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="In any unit: divided by the sum of all.")
    ] = 1.0


Members = Annotated[
    tuple[Member, ...],
    Field(
        min_length=1,
        description=f"At most {ENSEMBLE_STORES}; all have the utterance, with the same features.",
        examples=[[{"store": "demo", "weight": 2}, {"store": "demo-lstm"}]],
    ),
]


async def find_members(request: Request, members: Sequence[Member]) -> list[ServedStore]:
    """The stores of an ensemble.

    Raises:
        NotFoundError: one is not there for whoever asks.
        ProblemError: 422, too many.
    """
    if len(members) > ENSEMBLE_STORES:
        raise too_much(
            f"An ensemble has at most {ENSEMBLE_STORES} stores, not {len(members)}.", ENSEMBLE_STORES
        )
    return [await find_store(request, member.store) for member in members]
