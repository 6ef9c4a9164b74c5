"""How the learning rate goes: Kaldi's halving with rejection, or a warm-up and a cosine."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from softstore.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class NewbobConfig:
    """When to halve and when to stop, as relative improvements of the cross-validation loss.

    Attributes:
        start_halving: from the first epoch that improves by less, the rate is halved after every epoch.
        stop: while halving, an epoch that improves by less is the last.
        keep_epochs: after this many epochs halving starts whatever the improvement was.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    start_halving: float = 0.01
    stop: float = 0.001
    keep_epochs: int = 1000
    kind: Literal["newbob"] = "newbob"

    def begin(self, learning_rate: float, epochs: int, loss: float) -> Newbob:
        """Of a stage of so many epochs, and the cross-validation loss before the first."""
        return Newbob(self, learning_rate, loss)


@dataclass(frozen=True, slots=True)
class CosineConfig:
    """Linear warm-up, then down by half a cosine until the stage's last update.

    Attributes:
        warmup_steps: updates until the rate is at its highest.
        final: the last rate, as a share of the highest.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    warmup_steps: int = 200
    final: float = 0.0
    kind: Literal["cosine"] = "cosine"

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or not 0 <= self.final <= 1:
            raise InvalidInputError(
                f"warmup_steps must be at least 0 and final from 0 to 1, not {self.warmup_steps} and "
                f"{self.final}."
            )

    def begin(self, learning_rate: float, epochs: int, loss: float) -> Cosine:
        """Of a stage of so many epochs, and the cross-validation loss before the first."""
        return Cosine(self, learning_rate, loss, epochs)


@dataclass(slots=True)
class Newbob:
    """Kaldi's schedule (nnet1's ``train_scheduler.sh``) under way.

    Attributes:
        learning_rate: for the next epoch.
        best_loss: cross-validation loss of the weights to keep.
        epochs: how many have been judged.
        rejects: whether weights that were not accepted are to be undone.
    """

    config: NewbobConfig
    learning_rate: float
    best_loss: float
    epochs: int = 0
    halving: bool = False
    finished: bool = False
    rejects: ClassVar[bool] = True

    def next_rate(self, progress: float) -> float:
        """Of the next update, with ``progress``, from 0 to 1, of this epoch behind it."""
        return self.learning_rate

    def judge(self, loss: float) -> bool:
        """Take note of an epoch's cross-validation loss; False if its weights are not the best."""
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


@dataclass(slots=True)
class Cosine:
    """Warm-up and cosine under way; attributes and methods as of `Newbob`.

    Attributes:
        learning_rate: the highest.
        total_epochs: of the stage.
        steps: updates so far.
    """

    config: CosineConfig
    learning_rate: float
    best_loss: float
    total_epochs: int
    epochs: int = 0
    steps: int = 0
    rejects: ClassVar[bool] = False

    @property
    def finished(self) -> bool:
        return self.epochs >= self.total_epochs

    def next_rate(self, progress: float) -> float:
        self.steps += 1
        warm = min(self.steps / max(self.config.warmup_steps, 1), 1)
        done = (self.epochs + progress) / self.total_epochs
        share = self.config.final + (1 - self.config.final) * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * warm * share

    def judge(self, loss: float) -> bool:
        self.epochs += 1
        accepted = loss < self.best_loss
        if accepted:
            self.best_loss = loss
        return accepted

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


ScheduleConfig = NewbobConfig | CosineConfig
Schedule = Newbob | Cosine


def schedule_from_json(value: dict[str, Any]) -> Schedule:
    """The schedule that `to_json` was asked of."""
    if value["config"]["kind"] == "cosine":
        return Cosine(**{**value, "config": CosineConfig(**value["config"])})
    return Newbob(**{**value, "config": NewbobConfig(**value["config"])})
