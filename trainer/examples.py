"""Stores and corpora as material to learn from: utterances in memory, read in runs of neighbours.

A run costs one request per track for about `RUN_FRAMES` frames, and is checked as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import Codec, codec_from_config
from softstore.codecs.stored import Arrays
from softstore.codecs.unpacked import OVERFLOW_ROWS, select
from softstore.errors import CorruptDataError, InvalidInputError
from softstore.format import FEATURES, FIRST_OVERFLOW, LABELS, NUM_OVERFLOW, TARGETS, Attributes
from softstore.frames import Frames, Rows
from softstore.page_cache import CACHE_BYTES, PageCache
from softstore.planner import padded_frames
from softstore.runs import Run, plan_runs
from softstore.storage import open_storage
from trainer.fetching import fetch_ahead
from trainer.objectives import Softener

RUN_FRAMES = 2048
"""A run of neighbouring utterances ends before it would grow longer than this."""

_SERIAL_NUMBERS = 1 << 14


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance in memory.

    Attributes:
        features: (frames, dimensions), float32.
        labels: senone of each frame, (frames,), int64.
        encoded: the teacher's frames as the codec stores them, see `softstore.codecs.stored`; empty without
            targets.
    """

    utterance_id: str
    features: Tensor
    labels: Tensor
    encoded: Arrays

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an utterance lies.

    Attributes:
        first_frame, num_frames: on the store's frame axis.
        first_overflow, num_overflow: among the exact values of escalated frames; 0 where it has none.
    """

    utterance_id: str
    first_frame: int
    num_frames: int
    first_overflow: int = 0
    num_overflow: int = 0


class Examples:
    """A store (with soft targets) or a corpus (labels only), as material to learn from.

    Attributes:
        codec: of the soft targets; None for a corpus.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.codec: Codec | None = None
        if self.attributes.kind == "soft_targets":
            arrays = read_codec_arrays(frames.storage, self.attributes)
            self.codec = codec_from_config(self.attributes.codec or {}, arrays)
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
        """What a training run must not find changed when it goes on, wherever it lies now; JSON values.

        Raises:
            InvalidInputError: there are no frames to train on, or none for cross-validation.
        """
        teacher = self.attributes.teacher
        return {
            "classes": self.class_count,
            "corpus": self.attributes.corpus,
            "teacher": teacher and teacher.fingerprint,
            "codec": self.attributes.codec,
            "codec_arrays": {name: array.sha256 for name, array in self.attributes.codec_arrays.items()},
            "frames": {split: self.num_frames(split) for split in ("train", "cv")},
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

    @property
    def block_frames(self) -> int:
        """Encoded frames come in blocks of so many."""
        return self.attributes.block_frames

    def softener(self, encoded: Mapping[str, Tensor], rows: Tensor) -> Softener | None:
        """Temperature → log p_T, (n, classes), float32, of some frames; None without a teacher.

        Args:
            encoded: frames as the codec stores them, in whole blocks, see `trainer.streams.Batch`.
            rows: which of them are wanted, (n,), int64, all different.
        """
        if self.codec is None or not encoded:
            return None
        return Softener(self.codec, self.class_count, select(self.codec.unpack(encoded), rows))

    def in_order(self, split: str, *, targets: bool = False) -> Iterator[Example]:
        """All utterances of a split in stored order, those without frames left out."""
        runs = plan_runs(self.frames.manifest.where(split=split), self.attributes, RUN_FRAMES)
        fetch = partial(self._fetch_run, targets=targets)
        for made in fetch_ahead(fetch, runs, remote=self.frames.is_remote):
            yield from (example for example in made() if len(example))

    def nothing(self, *, targets: bool = False) -> Example:
        """An utterance without frames: what features and encoded frames look like here."""
        specs = self.codec.tracks(self.class_count) if targets and self.codec is not None else {}
        encoded: Arrays = {
            name: np.empty((0,) if spec.width is None else (0, spec.width), spec.dtype)
            for name, spec in specs.items()
        }
        features, labels = torch.empty(0, self.input_dim), torch.empty(0, dtype=torch.int64)
        return Example("", features, labels, encoded)

    def read(self, neighbours: Sequence[Place], *, targets: bool = False) -> list[Example]:
        """Utterances that lie side by side in one shard, with one request per track.

        They are views of the same memory.

        Raises:
            CorruptDataError: bytes are missing or damaged, features are not finite, or labels no classes.
        """
        return self.fetch(neighbours, targets=targets)()

    def fetch(self, neighbours: Sequence[Place], *, targets: bool = False) -> Callable[[], list[Example]]:
        """What makes the examples that `read` gives of bytes that are here then; see `Frames.fetch`.

        Raises:
            CorruptDataError: bytes are missing; what is damaged shows when examples are made.
        """
        origin = neighbours[0].first_frame
        last = neighbours[-1].first_frame + neighbours[-1].num_frames
        # The codec stores whole blocks.
        rows = padded_frames(last - origin, self.block_frames)
        escalated = [place for place in neighbours if place.num_overflow]
        specs = self.codec.tracks(self.class_count) if targets and self.codec is not None else {}
        dense = [name for name, spec in specs.items() if not spec.ragged]
        ragged = [name for name, spec in specs.items() if spec.ragged]
        if not escalated:
            ragged = []
            dense = [name for name in dense if name != OVERFLOW_ROWS]
        # One after another: who fetches ahead has many runs under way at a time.
        stored = [FEATURES, LABELS, *(f"{TARGETS}/{name}" for name in dense)]
        fetched = {track: self.frames.fetch(track, origin, rows) for track in stored}
        if ragged:
            begin, count = escalated[0].first_overflow, sum(place.num_overflow for place in escalated)
            exact = (f"{TARGETS}/{name}" for name in ragged)
            fetched |= {track: self.frames.fetch(track, begin, count) for track in exact}
        return partial(self._made, neighbours, dense, ragged, fetched)

    def _made(
        self,
        neighbours: Sequence[Place],
        dense: Sequence[str],
        ragged: Sequence[str],
        fetched: Mapping[str, Rows],
    ) -> list[Example]:
        found = {track: rows() for track, rows in fetched.items()}
        features = _float32(torch.from_numpy(found[FEATURES]))
        labels = torch.from_numpy(found[LABELS].astype(np.int64))
        encoded = {name: found[f"{TARGETS}/{name}"] for name in [*dense, *ragged]}
        origin = neighbours[0].first_frame
        first_overflow = next((place.first_overflow for place in neighbours if place.num_overflow), 0)
        examples = []
        for place in neighbours:
            start = place.first_frame - origin
            stop = start + place.num_frames
            behind = start + padded_frames(place.num_frames, self.block_frames)
            here = {name: encoded[name][start:behind] for name in dense}
            if place.num_overflow:
                exact = place.first_overflow - first_overflow
                here |= {name: encoded[name][exact : exact + place.num_overflow] for name in ragged}
            else:
                here.pop(OVERFLOW_ROWS, None)
            examples.append(Example(place.utterance_id, features[start:stop], labels[start:stop], here))
        if not self._sound(features, labels):
            for example in examples:
                self._check(example)
        return examples

    def _fetch_run(self, run: Run, targets: bool) -> Callable[[], list[Example]]:
        return self.fetch([_place(row) for row in run.utterances.to_pylist()], targets=targets)

    def _sound(self, features: Tensor, labels: Tensor) -> bool:
        in_range = not len(labels) or 0 <= int(labels.min()) <= int(labels.max()) < self.class_count
        # A sum is quicker than a look at each number; that of finite numbers may overflow.
        with np.errstate(all="ignore"):
            total = features.numpy().sum()
        return in_range and (bool(np.isfinite(total)) or bool(features.isfinite().all()))

    def _check(self, example: Example) -> None:
        if not example.features.isfinite().all():
            raise CorruptDataError(
                f"{example.utterance_id} in {self.url} has features that are not finite numbers: "
                "make the corpus again without it."
            )
        if not self._sound(example.features, example.labels):
            raise CorruptDataError(
                f"{example.utterance_id} in {self.url} has labels outside its {self.class_count} classes: "
                "make it again from a corpus that fits."
            )


def _float32(rows: Tensor) -> Tensor:
    """A few rows at a time: more would have torch start threads, which compete with those that train."""
    if rows.dtype == torch.float32:
        return rows
    converted = torch.empty(rows.shape)
    few = max(_SERIAL_NUMBERS // max(rows[:1].numel(), 1), 1)
    for first in range(0, len(rows), few):
        converted[first : first + few] = rows[first : first + few]
    return converted


def _place(row: Mapping[str, Any]) -> Place:
    overflow = row.get(FIRST_OVERFLOW) or 0, row.get(NUM_OVERFLOW) or 0
    return Place(row["utterance_id"], row["first_frame"], row["num_frames"], *overflow)


def open_examples(
    url: str | os.PathLike[str],
    token: str | None = None,
    *,
    cache: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Examples:
    """The store or corpus at a path or URL.

    Args:
        cache: a directory for what is read of S3 or a web server, see `softstore.page_cache`; processes may
            share it.
        cache_bytes: how large that may grow.

    Raises:
        NotFoundError, NotAStoreError, FormatError, StorageError: as `softstore.open`.
        InvalidInputError: it has no features or labels, or there can be no such cache.
    """
    pages = None if cache is None else PageCache(cache, cache_bytes)
    return Examples(Frames(open_storage(url, token=token), pages))
