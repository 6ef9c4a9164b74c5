"""One of the losses of `trainer.objectives`, with its temperatures and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from softstore.codecs import Codec, TopK
from softstore.errors import InvalidInputError
from softstore.softening import check_temperature
from trainer.objectives.fused import total_loss
from trainer.objectives.losses import LossAndGradient, matched, regularised, soft, sparse
from trainer.objectives.softener import Softened, Softener


class Kind(StrEnum):
    """Which targets the loss is against, and how."""

    HARD = "hard"
    SOFT = "soft"
    REG = "reg"
    LOGITS = "logits"
    TOPK = "topk"
    TOPK_RENORMALISED = "topk-renormalised"


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss over frames.

    Attributes:
        temperature: T of the teacher's posteriors.
        alpha: the weight of the hard labels in ``reg``.
        student_temperature: τ of the student against soft targets; 1 in the paper.
    """

    kind: Kind
    temperature: float = 1.0
    alpha: float = 0.5
    student_temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_temperature(self.student_temperature)
        if not 0 <= self.alpha < float("inf"):
            raise InvalidInputError(f"alpha must be a finite number of at least 0, not {self.alpha}.")

    @property
    def uses_targets(self) -> bool:
        """Whether the teacher is asked at all."""
        return self.kind is not Kind.HARD

    def __str__(self) -> str:
        return {
            Kind.HARD: "hard",
            Kind.SOFT: f"soft at T = {self.temperature:g}",
            Kind.REG: f"soft at T = {self.temperature:g} + {self.alpha:g} hard",
            Kind.LOGITS: "logits",
            Kind.TOPK: f"topk at T = {self.temperature:g}",
            Kind.TOPK_RENORMALISED: f"topk, renormalised, at T = {self.temperature:g}",
        }[self.kind]

    def check_stored(self, codec: Codec | None, url: str) -> None:
        """Raises `InvalidInputError` if what is stored at ``url`` cannot be learnt from in this way."""
        if not self.uses_targets:
            return
        if codec is None:
            raise InvalidInputError(
                f"{url} is a corpus and has no soft targets: make a store of it with "
                "`softstore generate`, or train with --targets hard."
            )
        wants_head = self.kind in (Kind.TOPK, Kind.TOPK_RENORMALISED)
        if wants_head and not isinstance(codec, TopK):
            raise InvalidInputError(
                f"{url} keeps all classes, encoded as {codec.name}: train with --targets soft, or make a "
                "topk store of it with `softstore recode --codec topk`."
            )
        if self.kind is Kind.LOGITS and not codec.full_support:
            raise InvalidInputError(
                f"{url} keeps only some classes of each frame, encoded as {codec.name}, and logits are "
                "matched where all are kept: train with --targets topk."
            )

    def softened(self, soften: Softener) -> Softener:
        """The same frames, with all that `loss` asks of the teacher worked out."""
        if self.kind is Kind.LOGITS:
            said = soften.logits()
        elif self.kind in (Kind.SOFT, Kind.REG):
            said = soften.posteriors(self.temperature)
        else:
            return soften
        return Softened(soften.codec, soften.class_count, {}, said)

    def loss(self, logits: Tensor, labels: Tensor, soften: Softener | None = None) -> Tensor:
        """The loss summed over frames, in nats, a scalar: float32, or float64 if the logits are.

        With soft targets nothing of the size of the logits is in memory but they and their gradient: a few
        frames at a time are decoded.

        Args:
            logits: of the student, (frames, classes), float32, float64 or half precision.
            labels: (frames,), int64.
            soften: the teacher's frames; None only if not `uses_targets`.
        """
        tau = self.student_temperature
        if self.kind is Kind.HARD:
            return _hard(logits, labels)
        if self.kind is Kind.REG and tau != 1:
            soft_loss = replace(self, kind=Kind.SOFT).loss(logits, labels, soften)
            return self.alpha * _hard(logits, labels) + self.temperature**2 * soft_loss
        assert soften is not None

        def of_rows(block: Tensor, start: int, stop: int, out: Tensor | None) -> LossAndGradient:
            some = soften if stop - start == len(logits) else soften.span(start, stop)
            return self._of_frames(block, labels[start:stop], some, out)

        return total_loss(logits, of_rows)

    def _of_frames(
        self, logits: Tensor, labels: Tensor, soften: Softener, out: Tensor | None
    ) -> LossAndGradient:
        temperature, tau = self.temperature, self.student_temperature
        if self.kind is Kind.LOGITS:
            return matched(logits, soften.logits())
        if self.kind is Kind.TOPK:
            return sparse(logits, soften.head(temperature), tau)
        if self.kind is Kind.TOPK_RENORMALISED:
            return sparse(logits, soften.head(temperature).renormalised(), tau)
        if self.kind is Kind.REG:
            return regularised(
                logits, soften.posteriors(temperature), labels, temperature**2, self.alpha, out
            )
        return soft(logits, soften.posteriors(temperature), tau, out)


def _hard(logits: Tensor, labels: Tensor) -> Tensor:
    whole = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.nn.functional.cross_entropy(whole, labels, reduction="sum")
