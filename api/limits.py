"""The most a client can ask for. Each is named, with its value, in the problem that refuses more."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from softstore.processors import usable_processors

JSON_FRAMES = 2_000
"""Frames of one utterance in one JSON answer …"""

JSON_NUMBERS = 4_100_000
"""… or fewer, where those would have more numbers than this."""

NPY_FRAMES = 20_000
"""Frames of one utterance in one answer in npy or Arrow, and in one item of a batch."""

CHOSEN_CLASSES = 1_000
"""Classes that a request may choose one by one."""

PAGE_CLASSES = 10_000
"""Classes in one page of their names."""

BATCH_ITEMS = 1_000
"""Items in one batch."""

BATCH_FRAMES = 200_000
"""Frames in one batch."""

ENSEMBLE_STORES = 16
"""Stores in one ensemble."""

PAGE_UTTERANCES, PAGE_ROWS = 1_000, 50_000
"""Utterances in one page of a listing, in JSON and in Arrow or Parquet."""

FILTER_VALUES = 100
"""Values that the columns of a listing are compared with."""

SEARCH_LETTERS = 200
"""Of what utterances are searched for."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 1_000.0
"""Outside these float32 softmax is one-hot or uniform."""

PIECE_BYTES = 1024 * 1024
"""A raw object is read and sent in pieces of at most this many bytes."""

HEAD_BYTES = 64 * 1024
"""Bytes of a request's URL and headers together."""

HEAD_SECONDS = 30.0
"""How long a request's URL and headers may take to arrive."""

TAKING_SECONDS = 60.0
"""How long a client may take nothing of an answer that waits for it."""

SMALL_THREADS = 16
"""Threads that are kept for answers for which nothing is decoded."""


class Limits(BaseModel):
    """What an operator may set to suit the machine and the clients; the rest above is as it is.

    Attributes:
        body_bytes: of a request's body (413).
        request_seconds: until a body is there (408), and until an answer begins (503).
        decoding: requests that may decode frames at the same time.
        waiting: requests that may wait until others have decoded their frames (429).
        cache_bytes: of answers that are kept ready, in each worker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024
    request_seconds: Annotated[float, Field(gt=0)] = 60.0
    decoding: int = Field(default_factory=usable_processors, ge=1)
    waiting: Annotated[int, Field(ge=0)] = 256
    cache_bytes: Annotated[int, Field(ge=0)] = 128 * 1024 * 1024
