"""A transform codec's arrays on one device, and what they do: frames ↔ coefficients ↔ bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from softstore.codecs.transform.blocks import from_frequencies, to_frequencies
from softstore.codecs.transform.codebook import CODEWORDS, Codebooks, Lookup

if TYPE_CHECKING:
    from softstore.codecs.transform.codec import Transform

_COARSE = 2.0
"""Nats. Of coefficients of log-posteriors, products in bfloat16 are off by 1/50 nat or so."""


@dataclass(frozen=True, eq=False)
class Constants:
    """See the module's docstring.

    Attributes:
        mean, basis: as the codec has them, float32.
        steps: as the codec has them, (block frames, rank).
        codebooks: as the codec has them.
        width: bytes of coefficients a frame.
        words: shape (groups * 256, group columns), int8.
        first_words: shape (groups,): where each group's words begin.
        places: shape (block frames * rank,): where each coefficient is among the looked-up numbers.
        scales: the steps, but 0 for coefficients that are in no codebook.
    """

    mean: Tensor
    basis: Tensor
    steps: Tensor
    codebooks: Codebooks
    width: int
    words: Tensor
    first_words: Tensor
    places: Tensor
    scales: Tensor

    @classmethod
    def of(cls, codec: Transform, device: torch.device) -> Constants:
        columns, words = codec.codebooks.columns, codec.codebooks.words
        groups, width = columns.shape
        places = np.zeros(codec.steps.size, np.int64)
        places[columns[columns >= 0]] = np.flatnonzero(columns >= 0)
        coded = np.zeros(codec.steps.size, np.float32)
        coded[columns[columns >= 0]] = 1
        return cls(
            torch.from_numpy(codec.mean).to(device),
            torch.from_numpy(codec.basis).float().to(device),
            torch.from_numpy(codec.steps).to(device),
            codec.codebooks,
            codec.width,
            torch.from_numpy(words.reshape(groups * CODEWORDS, width)).to(device),
            torch.arange(groups, dtype=torch.int32, device=device) * CODEWORDS,
            torch.from_numpy(places).to(device),
            torch.from_numpy(codec.steps * coded.reshape(codec.steps.shape)).to(device),
        )

    def project(self, centred: Tensor) -> Tensor:
        """Coefficients in nats, (blocks, block frames, rank), of log p less its frame's mean and ``mean``."""
        projection = self._projection
        projected = (centred.to(projection.dtype) @ projection).float()
        return to_frequencies(projected, len(self.steps))

    def to_bytes(self, frequencies: Tensor) -> Tensor:
        """The track's rows, (frames of all blocks, width), uint8, from (blocks, block frames, rank)."""
        values = (frequencies / self.steps).round_().flatten(1)
        blocks, groups = len(values), len(self.codebooks)
        rows = torch.zeros(
            (blocks, self.width * len(self.steps)), dtype=torch.uint8, device=frequencies.device
        )
        rows[:, :groups] = self._lookup.encode(values)
        # Bytes that are alike lie in the same column: byte j of a block in row j mod block_frames.
        return rows.view(blocks, self.width, len(self.steps)).transpose(1, 2).reshape(-1, self.width)

    def from_bytes(self, rows: Tensor) -> Tensor:
        """Coefficients of each frame, (frames, rank), float32, of whole blocks, from the track's rows."""
        blocks = rows.view(-1, len(self.steps), self.width).transpose(1, 2).flatten(1)
        bytes_ = blocks[:, : len(self.codebooks)].int() + self.first_words
        words = _taken(self.words, bytes_.flatten(), 0)
        words = words.view(len(blocks), self.codebooks.columns.size)
        values = _taken(words, self.places, 1).float()
        return from_frequencies(values.view(-1, *self.steps.shape) * self.scales)

    def expand(self, coefficients: Tensor) -> Tensor:
        """log p up to a constant a frame, (frames, classes), from (frames, rank)."""
        return torch.addmm(self.mean, coefficients, self.basis)

    @cached_property
    def _projection(self) -> Tensor:
        """Shape (classes, rank); in bfloat16 where that is quicker and its error nothing beside a step."""
        coarse = bool(self.steps.min() >= _COARSE)
        quick = self.basis.device.type == "cpu" and _multiplies_bfloat16()
        return self.basis.T.to(torch.bfloat16) if coarse and quick else self.basis.T

    @cached_property
    def _lookup(self) -> Lookup:
        return self.codebooks.lookup(self.mean.device)


def _taken(table: Tensor, places: Tensor, axis: int) -> Tensor:
    """`Tensor.index_select`, which takes three times as long as NumPy on a CPU."""
    if table.device.type != "cpu":
        return table.index_select(axis, places)
    return torch.from_numpy(np.take(table.numpy(), places.numpy(), axis))


def _multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it."""
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
