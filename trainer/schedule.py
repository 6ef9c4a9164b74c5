"""Newbob: Kaldi's learning-rate schedule with rejection (nnet1's ``train_scheduler.sh``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NewbobConfig:
    """When to halve and when to stop, as relative improvements of the cross-validation loss.

    Attributes:
        start_halving: from the first epoch that improves by less, the rate is halved after every epoch.
        stop: while halving, an epoch that improves by less is the last.
        keep_epochs: after this many epochs halving starts whatever the improvement was.
    """

    start_halving: float = 0.01
    stop: float = 0.001
    keep_epochs: int = 1000


@dataclass(slots=True)
class Newbob:
    """The schedule under way.

    Attributes:
        learning_rate: for the next epoch.
        best_loss: cross-validation loss of the weights to keep.
        epochs: how many have been judged.
    """

    config: NewbobConfig
    learning_rate: float
    best_loss: float
    epochs: int = 0
    halving: bool = False
    finished: bool = False

    def judge(self, loss: float) -> bool:
        """Take note of an epoch's cross-validation loss; False if its weights are to be rejected."""
        improvement = (self.best_loss - loss) / abs(self.best_loss)
        accepted = loss < self.best_loss
        self.epochs += 1
        self.finished = self.halving and improvement < self.config.stop
        self.halving |= improvement < self.config.start_halving or self.epochs >= self.config.keep_epochs
        if self.halving:
            self.learning_rate /= 2
        if accepted:
            self.best_loss = loss
        return accepted

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Newbob:
        return cls(**{**value, "config": NewbobConfig(**value["config"])})
