"""What clients may ask of a store's manifest, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from api.limits import PAGE_ROWS, PAGE_UTTERANCES, SEARCH_LETTERS
from api.listing import Wanted


class UtteranceQuery(BaseModel):
    """Any other parameter is a manifest column that must equal the value."""

    model_config = ConfigDict(extra="allow")

    split: Annotated[str | None, Query(description="Only this split.", examples=["cv"])] = None
    speaker: Annotated[str | None, Query(description="Only this speaker.", examples=["anna"])] = None
    q: Annotated[
        str | None,
        Query(
            max_length=SEARCH_LETTERS,
            description="Only with this in the id, the speaker or the text, in upper or lower case.",
            examples=["fox"],
        ),
    ] = None
    sort: Annotated[
        str | None,
        Query(
            max_length=200,
            description="A manifest column, falling with `-` before it; rows without a value come last. "
            "Stored order if left out, and among equals.",
            examples=["-entropy"],
        ),
    ] = None
    columns: Annotated[
        str | None,
        Query(
            max_length=2000,
            description="Only these manifest columns, with commas; the id always comes along.",
            examples=["num_frames,text"],
        ),
    ] = None
    count: Annotated[bool, Query(description="Whether to count all that match.")] = True
    limit: Annotated[
        int,
        Query(
            ge=1,
            le=PAGE_ROWS,
            description=f"Utterances in a page; in JSON up to {PAGE_UTTERANCES:,}.",
            examples=[100],
        ),
    ] = 100
    cursor: Annotated[str | None, Query(max_length=40, description="`next_cursor` of the page before.")] = (
        None
    )

    def wanted(self) -> Wanted:
        named = {"split": self.split, "speaker": self.speaker}
        equals = {name: value for name, value in named.items() if value is not None}
        return Wanted(equals | (self.model_extra or {}), self.q or None, self.sort or None)

    def chosen_columns(self) -> list[str] | None:
        """The id first; None for all."""
        if self.columns is None:
            return None
        return list(dict.fromkeys(["utterance_id", *filter(None, self.columns.split(","))]))
