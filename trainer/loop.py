"""The training loop: stochastic gradient descent, Kaldi's schedule with rejection, checkpoints, metrics.

What is trained on what is a `Task`; the loop knows losses and epochs only. After every epoch the state is
saved whole, so a run that was interrupted goes on from its last finished epoch to the same bits.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from softstore.errors import ConflictError, SoftstoreError
from trainer.checkpoint import TrainingState, load_state, save_model, save_state, write_whole
from trainer.config import SGDConfig, Stage
from trainer.models import DNN, LSTMP
from trainer.objectives import Objective, Outcome
from trainer.schedule import Newbob, NewbobConfig

METRICS = "metrics.jsonl"

_NAMED = 32
"""Utterances named where the loss is lost."""


class Task(Protocol):
    """A model and what it is to learn.

    Attributes:
        batch_frames: frames of a full batch; gradients are divided by it, also for batches that are not full.
        train_frames: frames of an epoch.
    """

    batch_frames: int
    train_frames: int

    @property
    def model(self) -> DNN | LSTMP: ...

    def prepare(self) -> None:
        """Whatever the model takes from the data before its first epoch; kept in the state from then on."""
        ...

    def train(self, objective: Objective, epoch: int) -> Iterator[Outcome]:
        """One epoch, batch by batch; the loop updates the weights between two of them."""
        ...

    def validate(self, objective: Objective) -> Iterator[Outcome]:
        """The cross-validation split, without gradients."""
        ...


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One line of ``metrics.jsonl``.

    Attributes:
        epoch: from 1, counted through all stages.
        objective: of the stage.
        learning_rate: of this epoch.
        train_loss, cv_loss: mean over frames, nats; of training, while the weights were changing.
        train_accuracy, cv_accuracy: frame accuracy with the hard labels, per cent.
        accepted: False if cross-validation got worse and the weights of before were restored.
        frames_per_second: of training alone.
        seconds: training and cross-validation.
    """

    epoch: int
    objective: str
    learning_rate: float
    train_loss: float
    train_accuracy: float
    cv_loss: float
    cv_accuracy: float
    accepted: bool
    frames_per_second: float
    seconds: float


class Display(Protocol):
    """Where a run shows itself."""

    def begin(self, epoch: int, objective: Objective, frames: int) -> None: ...

    def update(self, frames: int, loss: float, accuracy: float) -> None:
        """Frames done in this epoch, its mean loss and its frame accuracy so far."""
        ...

    def end(self, metrics: EpochMetrics) -> None: ...


@dataclass(slots=True)
class _Sums:
    """Running sums over outcomes."""

    loss: float = 0.0
    frames: int = 0
    correct: int = 0

    def add(self, outcome: Outcome, during: str) -> None:
        loss = outcome.loss.item()
        if not math.isfinite(loss):
            names = outcome.sources()
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise SoftstoreError(
                f"The loss became {loss} in {during}, with frames of {', '.join(names[:_NAMED])}{more}: "
                "look at their features, or lower the learning rate."
            )
        self.loss += loss
        self.frames += outcome.frames
        self.correct += outcome.correct

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.frames, 1)

    @property
    def accuracy(self) -> float:
        return 100 * self.correct / max(self.frames, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a task is to be trained.

    Attributes:
        stages: in turn.
        identity: configuration and data, JSON values; a run goes on only under the same, and it is kept
            with the model.
        features: what a row of the model's input is, from the corpus.
    """

    stages: Sequence[Stage]
    sgd: SGDConfig
    newbob: NewbobConfig
    identity: dict[str, Any]
    features: dict[str, Any]


class Run:
    """One training run in one directory; made anew, or from the state it left there.

    Attributes:
        history: metrics of all finished epochs.
        trained: whether `fit` found anything to do.
    """

    def __init__(self, task: Task, plan: Plan, directory: Path) -> None:
        """Raises `ConflictError` if the directory holds a run of another configuration."""
        self.task = task
        self.plan = plan
        self.directory = directory
        self.history: list[EpochMetrics] = []
        self.trained = False
        self.stage = 0
        self.schedule: Newbob | None = None
        self.optimizer = torch.optim.SGD(
            task.model.parameters(),
            lr=plan.sgd.learning_rate,
            momentum=plan.sgd.momentum,
            weight_decay=plan.sgd.weight_decay,
            foreach=False,
        )
        state = load_state(directory)
        if state is not None:
            self._restore(state)

    @property
    def finished(self) -> bool:
        return self.stage >= len(self.plan.stages)

    @property
    def best(self) -> EpochMetrics:
        """The epoch whose weights were kept: the last accepted one, or the first if none ever was."""
        return next((m for m in reversed(self.history) if m.accepted), self.history[0])

    def fit(self, display: Display) -> None:
        """Train to the end; nothing is trained where that was done before.

        Raises:
            SoftstoreError: the loss is no longer a finite number; the last finished epoch stays.
        """
        if self.history:
            self._publish()
        else:
            self.task.prepare()
        while not self.finished:
            self._epoch(display)
            self.trained = True
            save_state(self.directory, self._state())
            self._publish()

    def _epoch(self, display: Display) -> None:
        stage = self.plan.stages[self.stage]
        objective = stage.objective
        epoch = len(self.history) + 1
        if self.schedule is None:
            initial = self._validate(objective)
            self.schedule = Newbob(self.plan.newbob, stage.learning_rate, initial.mean_loss)
        before = {name: tensor.clone() for name, tensor in self.task.model.state_dict().items()}
        rate = self.schedule.learning_rate
        display.begin(epoch, objective, self.task.train_frames)
        started = time.perf_counter()
        train = self._train(objective, epoch, rate, display)
        train_seconds = time.perf_counter() - started
        cv = self._validate(objective)
        accepted = self.schedule.judge(cv.mean_loss)
        if not accepted:
            self.task.model.load_state_dict(before)
            self.optimizer.state.clear()
        self.history.append(
            EpochMetrics(
                epoch=epoch,
                objective=str(objective),
                learning_rate=rate,
                train_loss=train.mean_loss,
                train_accuracy=train.accuracy,
                cv_loss=cv.mean_loss,
                cv_accuracy=cv.accuracy,
                accepted=accepted,
                frames_per_second=train.frames / train_seconds,
                seconds=time.perf_counter() - started,
            )
        )
        display.end(self.history[-1])
        if self.schedule.finished or self.schedule.epochs >= stage.epochs:
            self.stage += 1
            self.schedule = None
            self.optimizer.state.clear()

    def _train(self, objective: Objective, epoch: int, rate: float, display: Display) -> _Sums:
        sums = _Sums()
        parameters = list(self.task.model.parameters())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.task.model.train()
        for outcome in self.task.train(objective, epoch):
            sums.add(outcome, f"epoch {epoch}")
            self.optimizer.zero_grad()
            (outcome.loss / self.task.batch_frames).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, self.plan.sgd.clip_norm, foreach=False)
            self.optimizer.step()
            display.update(sums.frames, sums.mean_loss, sums.accuracy)
        return sums

    def _validate(self, objective: Objective) -> _Sums:
        sums = _Sums()
        self.task.model.eval()
        for outcome in self.task.validate(objective):
            sums.add(outcome, "cross-validation")
        return sums

    def _state(self) -> TrainingState:
        tensors = {f"model.{name}": tensor for name, tensor in self.task.model.state_dict().items()}
        for name, parameter in self.task.model.named_parameters():
            if parameter in self.optimizer.state:
                tensors[f"momentum.{name}"] = self.optimizer.state[parameter]["momentum_buffer"]
        tensors["random"] = torch.get_rng_state()
        progress = {
            "identity": self.plan.identity,
            "stage": self.stage,
            "schedule": self.schedule and self.schedule.to_json(),
            "history": [asdict(metrics) for metrics in self.history],
        }
        return TrainingState(tensors, progress)

    def _restore(self, state: TrainingState) -> None:
        progress, tensors = state.progress, state.tensors
        differing = [
            key for key in self.plan.identity if progress["identity"].get(key) != self.plan.identity[key]
        ]
        if differing:
            raise ConflictError(
                f"{self.directory} holds a run with another {', '.join(differing)}: "
                "choose another directory, or remove that one."
            )
        model = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        self.task.model.load_state_dict(model)
        for name, parameter in self.task.model.named_parameters():
            if f"momentum.{name}" in tensors:
                self.optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{name}"]
        torch.set_rng_state(tensors["random"])
        self.stage = progress["stage"]
        self.schedule = Newbob.from_json(progress["schedule"]) if progress["schedule"] else None
        self.history = [EpochMetrics(**metrics) for metrics in progress["history"]]

    def _publish(self) -> None:
        """The model and the metrics, for whoever wants to look or use them."""
        lines = [json.dumps(asdict(metrics), ensure_ascii=False) + "\n" for metrics in self.history]
        write_whole(self.directory / METRICS, "".join(lines).encode())
        training = {**self.plan.identity, "finished": self.finished, "best_epoch": asdict(self.best)}
        save_model(self.directory, self.task.model, self.plan.features, training)
