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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs.base import Decoder, TrackSpec
from softstore.codecs.transform import refinement
from softstore.codecs.transform.codebook import CODEWORDS, Codebooks
from softstore.codecs.transform.constants import Constants
from softstore.codecs.transform.encoder import EncodedBlock, encode_block
from softstore.codecs.unpacked import OVERFLOW_FRAMES, select
from softstore.divergence import block_frames
from softstore.errors import FormatError, InvalidInputError
from softstore.softening import check_temperature

OVERFLOW_WIDTH = 256
"""Classes in one row of an escalated frame."""

CHUNK_WIDTH = 32
"""Bytes of coefficients that are compressed together: enough to pay for a Huffman table of their own."""


@dataclass(frozen=True, eq=False)
class Transform(Decoder):
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
        tracks = {"coefficients": TrackSpec("uint8", self.width, min(CHUNK_WIDTH, self.width))}
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
    def width(self) -> int:
        """Bytes of coefficients a frame: the block's, spread over its frames, in whole chunks."""
        each = max(-(-len(self.codebooks) // self.block_frames), 1)
        return -(-each // CHUNK_WIDTH) * CHUNK_WIDTH if each > CHUNK_WIDTH else each

    # Encoding

    def encode(self, log_posteriors: Tensor) -> dict[str, NDArray[np.generic]]:
        return self.join([block.rows for block in self.encode_blocks(log_posteriors)])

    def encode_blocks(self, log_posteriors: Tensor) -> Iterator[EncodedBlock]:
        """Normalised log p, (frames, classes), float32, a few frames at a time; use one before the next."""
        constants = self._constants(log_posteriors.device)
        for block in torch.split(log_posteriors, block_frames(log_posteriors, self.block_frames)):
            yield encode_block(constants, block, self.refined, self.refined_step)

    def join(self, blocks: Sequence[Mapping[str, Tensor]]) -> dict[str, NDArray[np.generic]]:
        """What `encode` gives, from the rows of all blocks of an utterance."""
        encoded: dict[str, NDArray[np.generic]] = {
            name: torch.cat([rows[name] for rows in blocks]).cpu().numpy() for name in blocks[0]
        }
        if self.max_kl is not None:
            encoded["overflow_rows"] = np.zeros(len(encoded["coefficients"]), np.uint16)
            encoded["overflow_classes"] = np.empty((0, OVERFLOW_WIDTH), np.uint16)
            encoded["overflow_values"] = np.empty((0, OVERFLOW_WIDTH), np.float32)
        return encoded

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
        escalated = np.flatnonzero(rows)
        frames = torch.from_numpy(escalated).to(log_posteriors.device)
        log_p = log_posteriors[frames]
        exact = log_p - log_p.mean(dim=-1, keepdim=True)
        plain = {
            name: torch.from_numpy(encoded[name]).to(log_p.device)
            for name in ("coefficients", "refined")
            if name in encoded
        }
        errors = exact - self._reconstruct(select(self.unpack(plain), frames))
        # Neither the likeliest classes nor those that are far off may be missed at any temperature.
        weights = (log_p / 2).exp_().mul_(errors.abs_())
        most = int(rows.max(initial=0))
        chosen = weights.topk(min(most * OVERFLOW_WIDTH, log_p.shape[1])).indices
        # Places left over repeat the last class.
        left_over = most * OVERFLOW_WIDTH - chosen.shape[1]
        chosen = torch.cat([chosen, chosen[:, -1:].expand(-1, left_over)], dim=-1)
        wanted = np.arange(most) < rows[escalated, None]
        classes = chosen.cpu().numpy().astype(np.uint16).reshape(-1, most, OVERFLOW_WIDTH)
        values = exact.gather(-1, chosen).cpu().numpy().reshape(classes.shape)
        counts = np.zeros(len(encoded["coefficients"]), np.uint16)
        counts[: len(rows)] = rows
        return {
            **encoded,
            "overflow_rows": counts,
            "overflow_classes": classes[wanted],
            "overflow_values": values[wanted],
        }

    # Decoding

    def unpack(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        coefficients = encoded["coefficients"]
        unpacked = {"coefficients": self._constants(coefficients.device).from_bytes(coefficients)}
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

    def logits(self, unpacked: Mapping[str, Tensor], class_count: int, temperature: float = 1.0) -> Tensor:
        logits = self._reconstruct(unpacked)
        if check_temperature(temperature) != 1:
            logits.div_(temperature)
        return logits

    def _reconstruct(self, unpacked: Mapping[str, Tensor]) -> Tensor:
        """log p up to a constant a frame: shape (frames, classes), float32."""
        coefficients = unpacked["coefficients"]
        logits = self._constants(coefficients.device).expand(coefficients)
        if self.refined:
            corrections = unpacked["refined_steps"] * self.refined_step
            logits.scatter_add_(-1, unpacked["refined_classes"].long(), corrections)
        if OVERFLOW_FRAMES in unpacked:
            rows = unpacked[OVERFLOW_FRAMES][:, None].expand(-1, OVERFLOW_WIDTH)
            logits[rows, unpacked["overflow_classes"].long()] = unpacked["overflow_values"]
        return logits

    def _constants(self, device: torch.device) -> Constants:
        found = self._on_devices.get(device)
        if found is None:
            found = self._on_devices[device] = Constants.of(self, device)
        return found

    @cached_property
    def _on_devices(self) -> dict[torch.device, Constants]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        # What follows from the others is made again where it is needed.
        return {key: value for key, value in self.__dict__.items() if key != "_on_devices"}
