"""transform: log-posteriors as a few quantised coefficients in the teacher's own basis, and corrections.

A frame's log p, less its mean over the classes (which no softmax sees) and less the mean frame, is projected
on an orthonormal basis fitted to a sample of the teacher's outputs (Karhunen-Loève). Along time, blocks of
frames are cosine transformed, and what comes out is rounded to whole steps: rounding errors of all
coefficients weigh the same, so one step for all is right, coarser only where a byte would not reach. Groups
of these numbers become bytes by codebooks (`softstore.codecs.transform.codebook`). The k classes of a frame
that its distribution would miss most are then corrected one by one.

Decoding is a table lookup, a matrix product and a scatter: log p at T = 1 of every class, which softens to
any temperature.

With a bound on the divergence of every frame, frames that miss it are escalated: some rows of 256 classes
with their exact values, at last all classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.base import TrackSpec
from softstore.codecs.transform import refinement
from softstore.codecs.transform.blocks import from_frequencies, to_frequencies
from softstore.codecs.transform.codebook import CODEWORDS, Codebooks
from softstore.codecs.unpacked import OVERFLOW_FRAMES, span
from softstore.errors import FormatError, InvalidInputError
from softstore.softening import check_temperature

OVERFLOW_WIDTH = 256
"""Classes in one row of an escalated frame."""

CHUNK_WIDTH = 32
"""Bytes of coefficients that are compressed together: enough to pay for a Huffman table of their own."""

_BLOCK_FRAMES = 256
"""Frames encoded or decoded at a time: few enough that everything stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Transform:
    """See the module's docstring; made by `softstore.codecs.transform.fitting.fit`.

    Attributes:
        mean: shape (classes,), float32: the mean of log p less each frame's mean.
        basis: shape (rank, classes), float16: rows orthonormal up to rounding.
        steps: shape (block frames, rank), float32: of each coefficient, in nats.
        codebooks: over the block's coefficients, frequency after frequency.
        refined: k, the classes corrected in each frame; may be 0.
        refined_step: of the corrections, in nats.
        max_kl: the bound that every frame is held to, in nats; None: no bound, nothing is escalated.
        asked: what the parameters were chosen for; JSON values, for the record.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float16]
    steps: NDArray[np.float32]
    codebooks: Codebooks
    refined: int
    refined_step: float
    max_kl: float | None
    asked: Mapping[str, Any]
    name: ClassVar[str] = "transform"
    full_support: ClassVar[bool] = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Transform:
        try:
            columns, words = (np.asarray(arrays[name]) for name in ("columns", "words"))
            codec = cls(
                np.asarray(arrays["mean"], np.float32),
                np.asarray(arrays["basis"], np.float16),
                np.asarray(arrays["steps"], np.float32),
                Codebooks(columns.astype(np.int32), words.astype(np.int8)),
                int(config["refined"]),
                float(config["refined_step"]),
                None if config["max_kl"] is None else float(config["max_kl"]),
                dict(config["asked"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"The store's transform parameters are unreadable: {dict(config)!r}."
            ) from error
        groups, width = codec.codebooks.columns.shape
        if (
            codec.mean.shape != codec.basis.shape[1:]
            or codec.steps.shape[1:] != codec.basis.shape[:1]
            or words.shape != (groups, CODEWORDS, width)
            or columns.max(initial=-1) >= codec.steps.size
        ):
            raise FormatError("The arrays of the store's transform codec do not fit each other.")
        return codec

    @property
    def block_frames(self) -> int:
        return len(self.steps)

    @property
    def rank(self) -> int:
        return len(self.basis)

    def config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "refined": self.refined,
            "refined_step": self.refined_step,
            "max_kl": self.max_kl,
            "asked": dict(self.asked),
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            "mean": self.mean,
            "basis": self.basis,
            "steps": self.steps,
            "columns": self.codebooks.columns,
            "words": self.codebooks.words,
        }

    def tracks(self, class_count: int) -> dict[str, TrackSpec]:
        if class_count != len(self.mean) or class_count > 1 << 16:
            raise InvalidInputError(
                f"This transform codec was fitted to {len(self.mean)} classes, the teacher has "
                f"{class_count}; 65,536 are the most it can hold."
            )
        tracks = {"coefficients": TrackSpec("uint8", self._width, min(CHUNK_WIDTH, self._width))}
        if self.refined:
            tracks["refined"] = TrackSpec("uint8", 3 * self.refined, self.refined)
        if self.max_kl is not None:
            tracks["overflow_rows"] = TrackSpec("uint16")
            # Room for all classes of every frame: whatever the bound, a shard takes its frames.
            all_classes = -(-class_count // OVERFLOW_WIDTH)
            tracks["overflow_classes"] = TrackSpec("uint16", OVERFLOW_WIDTH, ragged=all_classes)
            tracks["overflow_values"] = TrackSpec("float32", OVERFLOW_WIDTH, ragged=all_classes)
        return tracks

    @cached_property
    def _width(self) -> int:
        """Bytes of coefficients a frame: the block's, spread over its frames, in whole chunks."""
        each = max(-(-len(self.codebooks) // self.block_frames), 1)
        return -(-each // CHUNK_WIDTH) * CHUNK_WIDTH if each > CHUNK_WIDTH else each

    # Encoding

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        parts = [self._encode_blocks(part) for part in torch.split(log_posteriors, _BLOCK_FRAMES)]
        encoded = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if self.max_kl is not None:
            encoded["overflow_rows"] = np.zeros(len(encoded["coefficients"]), np.uint16)
            encoded["overflow_classes"] = np.empty((0, OVERFLOW_WIDTH), np.uint16)
            encoded["overflow_values"] = np.empty((0, OVERFLOW_WIDTH), np.float32)
        return encoded

    def _encode_blocks(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        constants = self._constants(log_posteriors.device)
        level = log_posteriors.mean(dim=-1, keepdim=True)
        projected = torch.addmm(-constants.projected_mean, log_posteriors, constants.basis.T)
        projected = torch.addcmul(projected, level, constants.projected_ones, value=-1)
        frequencies = to_frequencies(projected, self.block_frames)
        values = (frequencies / constants.steps).round_().flatten(1)
        packed = self.codebooks.encode(values.clamp_(-127, 127).to(torch.int32).cpu().numpy())
        coefficients = np.zeros((len(packed), self._width * self.block_frames), np.uint8)
        coefficients[:, : packed.shape[1]] = packed
        # Bytes that are alike lie in the same column: byte j of a block in row j mod block_frames.
        rows = coefficients.reshape(-1, self._width, self.block_frames).transpose(0, 2, 1)
        encoded: dict[str, NDArray[np.generic]] = {"coefficients": rows.reshape(-1, self._width)}
        if self.refined:
            encoded["refined"] = self._refine(log_posteriors, level, encoded["coefficients"])
        return encoded

    def _refine(
        self, log_posteriors: Tensor, level: Tensor, coefficients: NDArray[np.generic]
    ) -> NDArray[np.uint8]:
        """Correct the classes whose errors weigh most at T = 1 and 2."""
        frames = len(log_posteriors)
        stored = torch.from_numpy(coefficients).to(log_posteriors.device)
        errors = log_posteriors - level - self._expand(self._coefficients(stored)[:frames])
        weights = refinement.error_weights(log_posteriors)
        classes, steps = refinement.heaviest(weights, errors, self.refined, self.refined_step)
        rows = np.zeros((len(coefficients), 3 * self.refined), np.uint8)
        rows[:frames] = refinement.pack(classes, steps)
        return rows

    def ladder(self) -> list[int]:
        """Rows of exact values that a frame is given in turn while it misses `max_kl`; the last hold all."""
        everything = -(-len(self.mean) // OVERFLOW_WIDTH)
        return sorted({1, min(3, everything), everything})

    def escalate(
        self,
        encoded: Mapping[str, NDArray[np.generic]],
        log_posteriors: Tensor,
        rows: NDArray[np.int64],
    ) -> dict[str, NDArray[np.generic]]:
        """``encoded`` with ``rows[t]`` rows of exact values for frame t: the classes that matter most.

        Args:
            log_posteriors: shape (frames, classes), float32, as they were encoded.
            rows: shape (frames,): 0 leaves a frame as it is.
        """
        frames, class_count = log_posteriors.shape
        exact = log_posteriors - log_posteriors.mean(dim=-1, keepdim=True)
        plain = {
            name: torch.from_numpy(encoded[name]) for name in ("coefficients", "refined") if name in encoded
        }
        errors = (exact - self._reconstruct(span(self.unpack(plain), 0, frames))).abs_()
        # Neither the likeliest classes nor those that are far off may be missed at any temperature.
        weights = (log_posteriors / 2).exp_() * errors
        classes, values = [], []
        for frame in np.flatnonzero(rows):
            wanted = min(int(rows[frame]) * OVERFLOW_WIDTH, class_count)
            chosen = weights[frame].topk(wanted).indices
            # Places left over repeat the last class.
            chosen = torch.cat([chosen, chosen[-1:].expand(-wanted % OVERFLOW_WIDTH)])
            classes.append(chosen.view(-1, OVERFLOW_WIDTH).cpu().numpy().astype(np.uint16))
            values.append(exact[frame, chosen].view(-1, OVERFLOW_WIDTH).cpu().numpy())
        counts = np.zeros(len(encoded["coefficients"]), np.uint16)
        counts[:frames] = rows
        return {
            **encoded,
            "overflow_rows": counts,
            "overflow_classes": np.concatenate([encoded["overflow_classes"][:0], *classes]),
            "overflow_values": np.concatenate([encoded["overflow_values"][:0], *values]),
        }

    # Decoding

    def unpack(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        unpacked = {"coefficients": self._coefficients(encoded["coefficients"])}
        if self.refined:
            classes, steps = refinement.unpack(encoded["refined"])
            unpacked |= {"refined_classes": classes.to(torch.int32), "refined_steps": steps.to(torch.int8)}
        if "overflow_rows" in encoded and len(encoded["overflow_classes"]):
            counts = encoded["overflow_rows"].long()
            frames = torch.arange(len(counts), device=counts.device)
            unpacked[OVERFLOW_FRAMES] = torch.repeat_interleave(frames, counts)
            unpacked["overflow_classes"] = encoded["overflow_classes"]
            unpacked["overflow_values"] = encoded["overflow_values"]
        return unpacked

    def decode(self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        logits = self._reconstruct(unpacked)
        if check_temperature(temperature) != 1:
            logits.div_(temperature)
        return torch.log_softmax(logits, dim=-1)

    def _reconstruct(self, unpacked: Mapping[str, Tensor]) -> Tensor:
        """log p up to a constant a frame: shape (frames, classes), float32."""
        logits = self._expand(unpacked["coefficients"])
        if self.refined:
            corrections = unpacked["refined_steps"] * self.refined_step
            logits.scatter_add_(-1, unpacked["refined_classes"].long(), corrections)
        if OVERFLOW_FRAMES in unpacked:
            rows = unpacked[OVERFLOW_FRAMES][:, None].expand(-1, OVERFLOW_WIDTH)
            logits[rows, unpacked["overflow_classes"].long()] = unpacked["overflow_values"]
        return logits

    def _coefficients(self, stored: Tensor) -> Tensor:
        """Shape (frames, rank), float32, of whole blocks, from the track's rows."""
        constants = self._constants(stored.device)
        blocks = stored.view(-1, self.block_frames, self._width).transpose(1, 2).flatten(1)
        bytes_ = blocks[:, : len(self.codebooks)].int() + constants.first_words
        words = constants.words.index_select(0, bytes_.flatten()).view(
            len(blocks), self.codebooks.columns.size
        )
        values = words.index_select(1, constants.places).float()
        frequencies = values.view(-1, self.block_frames, self.rank) * constants.scales
        return from_frequencies(frequencies)

    def _expand(self, coefficients: Tensor) -> Tensor:
        constants = self._constants(coefficients.device)
        return torch.addmm(constants.mean, coefficients, constants.basis)

    def _constants(self, device: torch.device) -> _Constants:
        found = self._on_devices.get(device)
        if found is None:
            found = self._on_devices[device] = _Constants.of(self, device)
        return found

    @cached_property
    def _on_devices(self) -> dict[torch.device, _Constants]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        # What follows from the others is made again where it is needed.
        return {key: value for key, value in self.__dict__.items() if key != "_on_devices"}


@dataclass(frozen=True, slots=True)
class _Constants:
    """A codec's arrays on one device.

    Attributes:
        projected_mean, projected_ones: the mean frame and a frame of ones in the basis, (rank,).
        words: shape (groups * 256, group columns), int8.
        first_words: shape (groups,): where each group's words begin.
        places: shape (block frames * rank,): where each coefficient is among the looked-up numbers.
        scales: the steps, but 0 for coefficients that are in no codebook.
    """

    mean: Tensor
    basis: Tensor
    projected_mean: Tensor
    projected_ones: Tensor
    steps: Tensor
    words: Tensor
    first_words: Tensor
    places: Tensor
    scales: Tensor

    @classmethod
    def of(cls, codec: Transform, device: torch.device) -> _Constants:
        mean, basis = torch.from_numpy(codec.mean), torch.from_numpy(codec.basis).float()
        columns, words = codec.codebooks.columns, codec.codebooks.words
        groups, width = columns.shape
        places = np.zeros(codec.steps.size, np.int64)
        places[columns[columns >= 0]] = np.flatnonzero(columns >= 0)
        coded = np.zeros(codec.steps.size, np.float32)
        coded[columns[columns >= 0]] = 1
        steps = torch.from_numpy(codec.steps)
        constants = cls(
            mean,
            basis,
            basis @ mean,
            basis.sum(dim=-1),
            steps,
            torch.from_numpy(words.reshape(groups * CODEWORDS, width)),
            torch.arange(groups, dtype=torch.int32) * CODEWORDS,
            torch.from_numpy(places),
            steps * torch.from_numpy(coded.reshape(codec.steps.shape)),
        )
        return cls(*(getattr(constants, name).to(device) for name in cls.__slots__))
