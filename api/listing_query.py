"""What clients may ask of a store's manifest, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, WithJsonSchema

from api.conditions import COMPARISONS
from api.limits import FILTER_VALUES, PAGE_ROWS, PAGE_UTTERANCES, SEARCH_LETTERS
from api.listing import Wanted
from api.problems import too_much

COLUMN_CONDITIONS: dict[str, Any] = {
    "name": "conditions",
    "in": "query",
    "style": "form",
    "explode": True,
    "description": "Any other parameter is a condition on a manifest column: `column=value`, given again for "
    "any of several values, or `column[comparison]=value` with "
    + ", ".join(f"`{name}`" for name in COMPARISONS)
    + ". An utterance is listed if it meets all of them; one without a value, or with NaN, meets none. "
    "The brackets may be sent as `%5B` and `%5D`.",
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "example": {"num_frames[gte]": "100", "num_frames[lt]": "500", "snr_db[ne]": "5"},
}
"""In OpenAPI's words, which FastAPI has none for: parameters whose names hang on the store."""


def _one_or_more(example: str) -> WithJsonSchema:
    one = {"type": "string"}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one}], "examples": [example]})


class UtteranceQuery(BaseModel):
    """Any other parameter is a condition on a manifest column; see `COLUMN_CONDITIONS`."""

    model_config = ConfigDict(extra="allow")

    split: Annotated[list[str], _one_or_more("cv"), Query(description="Only this split, or these.")] = []
    speaker: Annotated[
        list[str], _one_or_more("anna"), Query(description="Only this speaker, or these.")
    ] = []
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
        """Raises `ProblemError` where there are too many values."""
        conditions = {"split": self.split, "speaker": self.speaker}
        for name, given in (self.model_extra or {}).items():
            conditions[name] = given if isinstance(given, list) else [given]
        count = sum(map(len, conditions.values()))
        if count > FILTER_VALUES:
            raise too_much(
                f"Columns can be compared with up to {FILTER_VALUES} values, not {count}.", FILTER_VALUES
            )
        asked = {name: values for name, values in conditions.items() if values}
        return Wanted(asked, self.q or None, self.sort or None)

    def chosen_columns(self) -> list[str] | None:
        """The id first; None for all."""
        if self.columns is None:
            return None
        return list(dict.fromkeys(["utterance_id", *filter(None, self.columns.split(","))]))
