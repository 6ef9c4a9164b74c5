"""Ask the service for posteriors the way any HTTP client would."""

from __future__ import annotations

import io
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from softstore.errors import SoftstoreError

TEMPERATURES = (1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one temperature.

    Attributes:
        url: that was asked.
        posteriors: shape (frames, classes), float32.
        json_bytes, npy_bytes: size of the answer in each format.
    """

    temperature: float
    url: str
    posteriors: NDArray[np.float32]
    json_bytes: int
    npy_bytes: int

    def to_json(self) -> dict[str, str | float]:
        """All but the posteriors."""
        return {
            "temperature": self.temperature,
            "url": self.url,
            "mean_top1": self.mean_top1,
            "mean_entropy": self.mean_entropy,
            "json_bytes": self.json_bytes,
            "npy_bytes": self.npy_bytes,
        }

    @property
    def mean_top1(self) -> float:
        """Mean posterior of the most probable class."""
        return float(self.posteriors.max(axis=1).mean())

    @property
    def mean_entropy(self) -> float:
        """Nats."""
        return float(-(self.posteriors * np.log(np.maximum(self.posteriors, 1e-30))).sum(axis=1).mean())


def ask(store_url: str, utterance_id: str, frames: int) -> list[Answer]:
    """The first ``frames`` posteriors of an utterance at each of `TEMPERATURES`, as npy and as JSON.

    Raises:
        SoftstoreError: the service refused, or the two formats disagree.
    """
    return [_ask_one(store_url, utterance_id, temperature, frames) for temperature in TEMPERATURES]


def _ask_one(store_url: str, utterance_id: str, temperature: float, frames: int) -> Answer:
    query = f"temperature={temperature:g}&stop={frames}"
    url = f"{store_url}/utterances/{quote(utterance_id, safe='')}/posteriors?{query}"
    npy, json = (
        httpx.get(url, headers={"Accept": kind}) for kind in ("application/x-npy", "application/json")
    )
    if npy.is_error or json.is_error:
        raise SoftstoreError(f"The service answered {url} with {npy.status_code} and {json.status_code}.")
    posteriors = np.load(io.BytesIO(npy.content), allow_pickle=False)
    if not np.allclose(posteriors, np.asarray(json.json()["posteriors"]), atol=1e-6):
        raise SoftstoreError(f"The service's JSON and npy answers to {url} differ.")
    return Answer(temperature, url, posteriors, len(json.content), len(npy.content))
