"""Utterances for training and evaluation, read from a store or corpus ahead of their use.

Utterances are read in runs of neighbours, one request per track for about `RUN_FRAMES` frames. The order of
an epoch is a pure function of (seed, epoch) and the manifest, so a store gives the same order from a disk
and over HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import Codec, codec_from_config
from softstore.codecs.unpacked import span
from softstore.errors import CorruptDataError, InvalidInputError
from softstore.format import FEATURES, LABELS, TARGETS, Attributes
from softstore.frames import Frames
from softstore.reading_ahead import read_ahead
from softstore.runs import HeldFrames, Run, plan_runs
from softstore.storage import open_storage
from softstore.utterance import StoredUtterance, Utterance

RUN_FRAMES = 2048
"""A run of neighbouring utterances ends before it would grow longer than this."""

WINDOW_RUNS = 16
"""Utterances of so many runs are shuffled among each other, and so many runs are read ahead."""


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance in memory.

    Attributes:
        features: (frames, dimensions), float32.
        labels: senone of each frame, (frames,), int64.
        encoded: the codec's unpacked frames, see `softstore.codecs.unpacked`; empty without targets.
    """

    utterance_id: str
    features: Tensor
    labels: Tensor
    encoded: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.labels)


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

    def softener(self, unpacked: Mapping[str, Tensor]) -> Callable[[float], Tensor] | None:
        """Temperature → log p_T, (frames, classes), float32, of unpacked frames; None without a teacher."""
        return None if self.codec is None else partial(self.codec.decode, unpacked, self.class_count)

    def in_order(self, split: str, *, targets: bool = False) -> Iterator[Example]:
        """All utterances of a split in stored order."""
        for run in self._read_ahead(self._runs(split), targets):
            yield from run

    def shuffled(self, split: str, *, seed: int, epoch: int, targets: bool = False) -> Iterator[Example]:
        """All utterances of a split in an order that (seed, epoch) alone decide."""
        generator = np.random.default_rng([seed, epoch])
        runs = self._runs(split)
        order = [runs[index] for index in generator.permutation(len(runs))]
        read = self._read_ahead(order, targets)
        while window := [example for run in islice(read, WINDOW_RUNS) for example in run]:
            for index in generator.permutation(len(window)):
                yield window[index]

    def _runs(self, split: str) -> list[Run]:
        return plan_runs(self.frames.manifest.where(split=split), self.attributes, RUN_FRAMES)

    def _read_ahead(self, runs: Sequence[Run], targets: bool) -> Iterator[list[Example]]:
        read = partial(self._read, targets=targets)
        return read_ahead(read, runs, self.frames.read_threads, WINDOW_RUNS)

    def _read(self, run: Run, targets: bool) -> list[Example]:
        specs = self.codec.tracks(self.class_count) if targets and self.codec is not None else {}
        stored = [f"{TARGETS}/{name}" for name, spec in specs.items() if not spec.ragged]
        held = HeldFrames(self.frames, run, dict.fromkeys([FEATURES, LABELS, *stored]))
        examples = []
        for row in run.utterances.to_pylist():
            heard = Utterance(held, row)
            features, labels = torch.from_numpy(heard.features()), torch.from_numpy(heard.labels())
            self._check(heard.utterance_id, features, labels)
            encoded: dict[str, Tensor] = {}
            if targets and self.codec is not None:
                taught = StoredUtterance(held, row, self.codec)
                encoded = span(self.codec.unpack(taught.encoded()), 0, len(labels))
            if len(labels):
                examples.append(Example(heard.utterance_id, features, labels, encoded))
        return examples

    def _check(self, utterance_id: str, features: Tensor, labels: Tensor) -> None:
        if not features.isfinite().all():
            raise CorruptDataError(
                f"{utterance_id} in {self.url} has features that are not finite numbers: "
                "make the corpus again without it."
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.class_count:
            raise CorruptDataError(
                f"{utterance_id} in {self.url} has labels outside its {self.class_count} classes: "
                "make it again from a corpus that fits."
            )


def open_examples(url: str | os.PathLike[str], token: str | None = None) -> Examples:
    """The store or corpus at a path or URL.

    Raises:
        NotFoundError, NotAStoreError, FormatError, StorageError: as `softstore.open`.
    """
    return Examples(Frames(open_storage(url, token=token)))
