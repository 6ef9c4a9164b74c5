"""Utterances through the teacher: inferred, encoded, and measured, several at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.codecs import Codec
from softstore.corpus import Corpus
from softstore.encoding import EncodedUtterance, encode_utterance, normalise
from softstore.teacher import Teacher
from softstore.utterance import Utterance

_WRITTEN_BY_PLACEMENT = {"shard", "first_frame", "features_crc32c"}


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
        log_posteriors = infer(self.teacher, utterance)
        row = {name: value for name, value in utterance.row.items() if name not in _WRITTEN_BY_PLACEMENT}
        tracks = {track: utterance.read(track) for track in self.corpus.attributes.tracks}
        return encode_utterance(self.codec, log_posteriors, self.temperatures, row, tracks)


def infer(teacher: Teacher, utterance: Utterance) -> Tensor:
    """The teacher's log p at T = 1, checked and normalised: shape (frames, classes), float32.

    Raises:
        InvalidInputError: it cannot be used.
    """
    features = utterance.features()
    with torch.inference_mode():
        found = teacher.log_posteriors(torch.from_numpy(features))
        return normalise(found, len(features), teacher.class_count, utterance.utterance_id)


def _cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
