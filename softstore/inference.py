"""Utterances through the teacher: inferred, encoded, and measured, several at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.certificate import measure
from softstore.codecs import Codec
from softstore.corpus import Corpus
from softstore.errors import InvalidInputError
from softstore.format import TARGETS
from softstore.teacher import Teacher

_WRITTEN_BY_PLACEMENT = {"shard", "first_frame", "features_crc32c"}


@dataclass(frozen=True, slots=True)
class EncodedUtterance:
    """One utterance, ready to be written.

    Attributes:
        row: its manifest columns, certificate included, without the placement.
        tracks: for every track of the store, its rows.
        kl_histogram: as `softstore.certificate.Measurement.histogram`.
    """

    row: dict[str, Any]
    tracks: dict[str, NDArray[np.generic]]
    kl_histogram: dict[str, list[int]]

    @property
    def frames(self) -> int:
        return int(self.row["num_frames"])


@dataclass(frozen=True, slots=True)
class Inference:
    """A teacher over a corpus.

    Attributes:
        temperatures: where the certificate is measured.
    """

    corpus: Corpus
    teacher: Teacher
    codec: Codec
    temperatures: Sequence[float]

    def run(self, utterance_ids: Sequence[str]) -> Iterator[EncodedUtterance]:
        """These utterances, in this order.

        Raises:
            InvalidInputError: the teacher's output for one of them cannot be used.
        """
        # One utterance and one core a thread: torch's own threads would wait for each other at every small
        # step of encoding and measuring. Setting their number in one thread changes it for threads to come.
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(_cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield from pool.map(self._encode, utterance_ids)
        finally:
            torch.set_num_threads(before)

    def _encode(self, utterance_id: str) -> EncodedUtterance:
        utterance = self.corpus[utterance_id]
        log_posteriors = self._infer(utterance.features(), utterance_id)
        encoded = self.codec.encode(log_posteriors)
        measured = measure(self.codec, encoded, log_posteriors, self.temperatures)
        row = {name: value for name, value in utterance.row.items() if name not in _WRITTEN_BY_PLACEMENT}
        tracks = {track: utterance.read(track) for track in self.corpus.attributes.tracks}
        tracks |= {f"{TARGETS}/{name}": array for name, array in encoded.items()}
        return EncodedUtterance(row | measured.columns(), tracks, measured.histogram())

    def _infer(self, features: NDArray[np.float32], utterance_id: str) -> Tensor:
        """log p at T = 1, checked and normalised: shape (frames, classes), float32."""
        with torch.inference_mode():
            found = self.teacher.log_posteriors(torch.from_numpy(features))
            expected = (len(features), self.teacher.class_count)
            if tuple(found.shape) != expected:
                raise InvalidInputError(
                    f"The teacher gave {tuple(found.shape)} for {utterance_id!r}, not {expected}."
                )
            log_posteriors = torch.log_softmax(found.float(), dim=-1)
        if not bool(torch.isfinite(log_posteriors).all()):
            raise InvalidInputError(
                f"The teacher's output for {utterance_id!r} is not finite: repair the teacher."
            )
        return log_posteriors


def _cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
