"""One pass over the training data, and one over the cross-validation data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from softstore.errors import SoftstoreError
from trainer.config import LoopConfig
from trainer.metrics import StepMetrics, Sums
from trainer.objectives import Objective, Outcome
from trainer.optimizers import OptimizerConfig, clip
from trainer.ranks import Ranks
from trainer.run_state import RunState
from trainer.stopping import Stopped, StopSignals
from trainer.task import Task

_NAMED = 32
"""Utterances named where the loss is lost."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Over a task's data, for a run; ``state`` goes along, and `save` saves it.

    Both raise `Stopped` if a signal came, on any rank, with the state saved, and `SoftstoreError` if the loss
    is not a finite number.
    """

    task: Task
    state: RunState
    optimizer: OptimizerConfig
    loop: LoopConfig
    save: Callable[[], None]
    signals: StopSignals

    def train(
        self, objective: Objective, show: Callable[[Sums], None], log: Callable[[StepMetrics], None]
    ) -> None:
        """The epoch that is under way, or begins, to its end."""
        state, loop, waiting = self.state, self.loop, self.task.waiting
        epoch = len(state.history) + 1
        since_line = Sums()
        saved = moment = time.perf_counter()
        waited = waiting.seconds
        self.task.model.train()
        for outcome in self.task.train(objective, epoch, state.epoch.batches):
            due = 0 < loop.checkpoint_seconds <= time.perf_counter() - saved
            stop = self.signals.number > 0
            batch, stop, due = _sum(self.task.ranks, outcome, f"epoch {epoch}", stop, due)
            self._update(outcome.loss)
            now = time.perf_counter()
            batch.seconds, moment = now - moment, now
            batch.waited, waited = waiting.seconds - waited, waiting.seconds
            state.epoch.add(batch)
            since_line.add(batch)
            show(state.epoch)
            if state.steps % loop.log_steps == 0:
                log(_step_metrics(state, epoch, objective, since_line))
                since_line = Sums()
            if stop or due or (loop.checkpoint_steps and state.steps % loop.checkpoint_steps == 0):
                self.save()
                saved = time.perf_counter()
            if stop:
                raise Stopped(self.signals.number)

    def _update(self, loss: Tensor) -> None:
        state, parameters = self.state, list(self.task.model.parameters())
        assert state.schedule is not None
        progress = min(state.epoch.frames / self.task.train_frames, 1)
        state.learning_rate = state.schedule.next_rate(progress)
        for group in state.optimizer.param_groups:
            group["lr"] = state.learning_rate
        state.optimizer.zero_grad()
        (loss / self.task.batch_frames).backward()  # type: ignore[no-untyped-call]
        self.task.ranks.sum_gradients(parameters)
        clip(self.optimizer, state.optimizer, parameters)
        state.optimizer.step()
        state.steps += 1

    def validate(self, objective: Objective) -> Sums:
        """All of the cross-validation split, by all ranks together."""
        ours = Sums()
        self.task.model.eval()
        for outcome in self.task.validate(objective):
            ours.add(_sum(Ranks(), outcome, "cross-validation", False, False)[0])
            # Several ranks must stop together, and their parts are not equally long.
            if self.signals.number and self.task.ranks.world_size == 1:
                break
        stop = self.signals.number > 0
        loss, frames, correct, stops = self.task.ranks.sum([ours.loss, ours.frames, ours.correct, stop])
        if stops:
            self.save()
            raise Stopped(self.signals.number)
        return Sums(loss, round(frames), round(correct))


def _sum(ranks: Ranks, outcome: Outcome, during: str, stop: bool, due: bool) -> tuple[Sums, bool, bool]:
    """A batch of all ranks, and whether any of them is to stop, or save."""
    ours = outcome.loss.item()
    loss, frames, correct, stops, dues = ranks.sum([ours, outcome.frames, outcome.correct, stop, due])
    if not math.isfinite(ours):
        names = outcome.sources()
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise SoftstoreError(
            f"The loss became {ours} in {during}, with frames of {', '.join(names[:_NAMED])}{more}: "
            "look at their features, or lower the learning rate."
        )
    if not math.isfinite(loss):
        raise SoftstoreError(f"The loss became {loss} in {during}, on another rank.")
    return Sums(loss, round(frames), round(correct), 1), stops > 0, dues > 0


def _step_metrics(state: RunState, epoch: int, objective: Objective, sums: Sums) -> StepMetrics:
    return StepMetrics(
        step=state.steps,
        epoch=epoch,
        objective=str(objective),
        learning_rate=state.learning_rate,
        loss=sums.mean_loss,
        accuracy=sums.accuracy,
        frames_per_second=sums.frames_per_second,
        data_wait=sums.data_wait,
    )
