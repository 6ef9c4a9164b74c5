"""Utterances for training and evaluation, read from a store or corpus ahead of their use.

Utterances are read in runs of neighbours, one request per track for about `RUN_FRAMES` frames. The order of
an epoch is a pure function of (seed, epoch) and the manifest, so a store gives the same order from a disk
and over HTTP.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from softstore.codecs import Codec, codec_from_config
from softstore.errors import CorruptDataError, InvalidInputError
from softstore.format import FEATURES, LABELS, TARGETS, Attributes
from softstore.frames import Frames
from softstore.storage import open_storage

T = TypeVar("T")
R = TypeVar("R")

RUN_FRAMES = 2048
"""A run of neighbouring utterances ends before it would grow longer than this."""

WINDOW_RUNS = 16
"""Utterances of so many runs are shuffled among each other, and so many runs are read ahead."""

_READ_THREADS = 4


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance in memory.

    Attributes:
        features: (frames, dimensions), float32.
        labels: senone of each frame, (frames,), int64.
        encoded: the codec's arrays as stored, by name, each (frames, width); empty without targets.
    """

    utterance_id: str
    features: Tensor
    labels: Tensor
    encoded: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbours on the frame axis: frames ``first`` … ``first + sum(lengths)``."""

    first: int
    utterance_ids: Sequence[str]
    lengths: Sequence[int]


class Examples:
    """A store (with soft targets) or a corpus (labels only), as material to learn from.

    Attributes:
        codec: of the soft targets; None for a corpus.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.codec: Codec | None = None
        if self.attributes.kind == "soft_targets":
            self.codec = codec_from_config(self.attributes.codec or {})
        missing = {FEATURES, LABELS} - set(self.attributes.tracks)
        if missing:
            raise InvalidInputError(
                f"{self.url} has no {' and no '.join(sorted(missing))} track, which training needs."
            )

    @property
    def url(self) -> str:
        return self.frames.storage.url

    @property
    def attributes(self) -> Attributes:
        return self.frames.attributes

    @property
    def class_count(self) -> int:
        return self.attributes.class_count

    @property
    def input_dim(self) -> int:
        return self.attributes.tracks[FEATURES].width or 1

    def identity(self) -> dict[str, Any]:
        """What a training run must not find changed when it goes on; JSON values."""
        teacher = self.attributes.teacher
        return {
            "classes": self.class_count,
            "corpus": self.attributes.corpus,
            "teacher": teacher and teacher.fingerprint,
        }

    def splits(self) -> list[str]:
        """The splits there are, by name."""
        return sorted(set(self.frames.manifest.table["split"].to_pylist()))

    def num_frames(self, split: str) -> int:
        """How many frames a split has.

        Raises:
            InvalidInputError: none.
        """
        frames = int(self.frames.manifest.where(split=split)["num_frames"].to_numpy().sum())
        if not frames:
            there = ", ".join(self.splits()) or "nothing"
            raise InvalidInputError(f"{self.url} has no frames in the split {split!r}; it has {there}.")
        return frames

    def softener(self, encoded: Mapping[str, Tensor]) -> Callable[[float], Tensor] | None:
        """Temperature → log p_T, (frames, classes), float32, of encoded frames; None without a teacher."""
        return None if self.codec is None else partial(self.codec.decode, encoded, self.class_count)

    def in_order(self, split: str, *, targets: bool = False) -> Iterator[Example]:
        """All utterances of a split in stored order."""
        for run in _prefetch(partial(self._read, targets=targets), self._runs(split)):
            yield from run

    def shuffled(self, split: str, *, seed: int, epoch: int, targets: bool = False) -> Iterator[Example]:
        """All utterances of a split in an order that (seed, epoch) alone decide."""
        generator = np.random.default_rng([seed, epoch])
        runs = self._runs(split)
        order = [runs[index] for index in generator.permutation(len(runs))]
        read = _prefetch(partial(self._read, targets=targets), order)
        while window := [example for run in islice(read, WINDOW_RUNS) for example in run]:
            for index in generator.permutation(len(window)):
                yield window[index]

    def _runs(self, split: str) -> list[_Run]:
        table = self.frames.manifest.where(split=split).select(["utterance_id", "first_frame", "num_frames"])
        runs: list[_Run] = []
        ids: list[str] = []
        lengths: list[int] = []
        first = 0
        for utterance_id, start, frames in zip(
            *(column.to_pylist() for column in table.columns), strict=True
        ):
            end = first + sum(lengths)
            new_shard = start // self.attributes.shard_frames != first // self.attributes.shard_frames
            if ids and (start != end or new_shard or end - first + frames > RUN_FRAMES):
                runs.append(_Run(first, ids, lengths))
                ids, lengths = [], []
            if not ids:
                first = start
            ids, lengths = [*ids, utterance_id], [*lengths, frames]
        return [*runs, _Run(first, ids, lengths)] if ids else runs

    def _read_labels(self, run: _Run) -> Tensor:
        labels = torch.from_numpy(self.frames.read(LABELS, run.first, sum(run.lengths)).astype(np.int64))
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.class_count:
            raise CorruptDataError(
                f"{self.url} has labels outside its {self.class_count} classes between "
                f"{run.utterance_ids[0]} and {run.utterance_ids[-1]}: make it again from a corpus that fits."
            )
        return labels

    def _read(self, run: _Run, targets: bool) -> list[Example]:
        frames = sum(run.lengths)
        features = torch.from_numpy(self.frames.read(FEATURES, run.first, frames).astype(np.float32))
        labels = self._read_labels(run)
        encoded = {}
        if targets:
            assert self.codec is not None
            for name in self.codec.tracks(self.class_count):
                encoded[name] = torch.from_numpy(self.frames.read(f"{TARGETS}/{name}", run.first, frames))
        stops = np.cumsum(run.lengths).tolist()
        spans = [slice(stop - length, stop) for stop, length in zip(stops, run.lengths, strict=True)]
        if not features.isfinite().all():
            culprit = next(n for n, span in enumerate(spans) if not features[span].isfinite().all())
            raise CorruptDataError(
                f"{run.utterance_ids[culprit]} in {self.url} has features that are not finite numbers: "
                "make the corpus again without it."
            )
        return [
            Example(
                utterance_id,
                features[span],
                labels[span],
                {name: rows[span] for name, rows in encoded.items()},
            )
            for utterance_id, span in zip(run.utterance_ids, spans, strict=True)
            if span.start < span.stop
        ]


def open_examples(url: str | os.PathLike[str], token: str | None = None) -> Examples:
    """The store or corpus at a path or URL.

    Raises:
        NotFoundError, NotAStoreError, FormatError, StorageError: as `softstore.open`.
    """
    return Examples(Frames(open_storage(url, token=token)))


def _prefetch(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``map(function, items)``, by threads, `WINDOW_RUNS` items ahead of what is asked for."""
    waiting = iter(items)
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        pending = deque(pool.submit(function, item) for item in islice(waiting, WINDOW_RUNS))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(waiting, 1))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
