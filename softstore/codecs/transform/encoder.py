"""A block of frames encoded, and decoded on the way: corrections need that, and so does the certificate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.codecs.transform import refinement
from softstore.codecs.transform.constants import Constants
from softstore.divergence import Softened
from softstore.scratch import scratch


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """Some frames as they are stored, and what that loses.

    Attributes:
        rows: of each track, padded to whole blocks, uint8.
        softened: the frames; like ``errors`` this thread's `scratch`, good until it encodes the next block.
        errors: log p less what the stored bytes decode to, up to a constant a frame, (frames, classes).
    """

    rows: dict[str, Tensor]
    softened: Softened
    errors: Tensor


def encode_block(constants: Constants, log_p: Tensor, refined: int, refined_step: float) -> EncodedBlock:
    """Encode normalised log p, (frames, classes), float32, which begins where a codec's block does."""
    softened = Softened(log_p)
    level = log_p.mean(dim=-1, keepdim=True)
    centred = torch.sub(log_p, level, out=scratch("errors", log_p)).sub_(constants.mean)
    coefficients = constants.to_bytes(constants.project(centred))
    rows = {"coefficients": coefficients}
    decoded = constants.from_bytes(coefficients)[: len(log_p)]
    errors = centred.addmm_(decoded, constants.basis, alpha=-1)
    if refined:
        p, root = softened.weights[1], softened.weights[2]
        classes, steps = refinement.heaviest(p, root, errors, refined, refined_step)
        corrections = refinement.pack(classes, steps)
        classes, steps = refinement.unpack(corrections)
        errors.scatter_add_(-1, classes, steps * -refined_step)
        padding = (0, 0, 0, len(coefficients) - len(log_p))
        rows["refined"] = torch.nn.functional.pad(corrections, padding)
    return EncodedBlock(rows, softened, errors)
