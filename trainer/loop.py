"""The training loop: epochs of updates and cross-validation, what is kept of them, and where it goes on.

What is trained on what is a `trainer.task.Task`; the loop knows losses and epochs only. The state is saved
whole after every epoch, every few minutes within one, and when a signal asks the run to stop, so that a run
that was interrupted goes on to the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.checkpoint import save_model, write_whole
from trainer.config import LoopConfig, Stage, StudentConfig, TeacherConfig
from trainer.config_file import CONFIG, to_toml
from trainer.examples import Examples
from trainer.identity import identity
from trainer.metrics import EpochMetrics, StepMetrics
from trainer.metrics_files import MetricsFiles
from trainer.optimizers import OptimizerConfig
from trainer.passes import Passes
from trainer.run_state import RunState
from trainer.schedule import ScheduleConfig
from trainer.stopping import StopSignals
from trainer.task import Display, Silent, Task


@dataclass(frozen=True, slots=True)
class Plan:
    """How a task is to be trained.

    Attributes:
        stages: in turn.
        identity: configuration and data, JSON values; a run goes on only under the same, and it is kept
            with the model.
        features: what a row of the model's input is, from the corpus.
        config: all that was configured, as TOML; it is kept beside the model.
    """

    stages: Sequence[Stage]
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    loop: LoopConfig
    identity: dict[str, Any]
    features: dict[str, Any]
    config: str

    @classmethod
    def of(cls, config: StudentConfig | TeacherConfig, sources: Sequence[Examples]) -> Plan:
        return cls(
            config.stages(),
            config.optimizer,
            config.schedule,
            config.loop,
            identity(config, sources),
            sources[0].attributes.features,
            to_toml(config, *(examples.url for examples in sources)),
        )


class Run:
    """One training run in one directory; made anew, or from the state it left there.

    Attributes:
        trained: whether `fit` found anything to do.
    """

    def __init__(self, task: Task, plan: Plan, directory: Path) -> None:
        """Raises `ConflictError` if the directory holds a run of another configuration or other stores."""
        self.task = task
        self.plan = plan
        self.directory = directory
        self.trained = False
        self._state = RunState(task.model, plan.optimizer.build(task.model.parameters()), task.ranks)
        carried = self._state.load(directory, plan.identity)
        self._is_new = carried is None
        if carried:
            task.carry_on(carried)

    @property
    def history(self) -> list[EpochMetrics]:
        """Metrics of all finished epochs."""
        return self._state.history

    @property
    def finished(self) -> bool:
        return self._state.stage >= len(self.plan.stages)

    @property
    def best(self) -> EpochMetrics:
        """The epoch whose weights were kept: the last accepted one, or the first if none ever was."""
        return next((m for m in reversed(self.history) if m.accepted), self.history[0])

    def fit(self, display: Display) -> None:
        """Train to the end; nothing is trained where that was done before. The first rank shows and writes.

        Raises:
            Stopped: SIGTERM or SIGINT came; the state is saved.
            SoftstoreError: the loss is no longer a finite number; the last saved state stays.
        """
        first = self.task.ranks.is_first
        if first:
            write_whole(self.directory / CONFIG, self.plan.config.encode())
            if self._is_new:
                self.task.prepare()
        self.task.ranks.share(self.task.model.state_dict().values())
        with ExitStack() as contexts:
            files = None
            if first:
                loop = self.plan.loop
                files = MetricsFiles(self.directory, self._state.steps, loop.tensorboard)
                contexts.enter_context(files)
                if self.history:
                    self._publish(files)
            signals = contexts.enter_context(StopSignals())
            while not self.finished:
                self._epoch(display if first else Silent(), files, signals)
                self.trained = True

    def _epoch(self, display: Display, files: MetricsFiles | None, signals: StopSignals) -> None:
        state, stage = self._state, self.plan.stages[self._state.stage]
        passes = Passes(self.task, state, self.plan.optimizer, self.plan.loop, self._save, signals)
        if state.schedule is None:
            loss = passes.validate(stage.objective).mean_loss
            state.schedule = self.plan.schedule.begin(stage.learning_rate, stage.epochs, loss)
            state.keep()
        display.begin(len(self.history) + 1, stage.objective, self.task.train_frames)
        passes.train(stage.objective, display.update, files.step if files is not None else _nothing)
        started = time.perf_counter()
        cv = passes.validate(stage.objective)
        metrics = state.end_epoch(stage, cv, time.perf_counter() - started)
        self._save()
        if files is not None:
            files.epoch(state.steps, metrics)
            self._publish(files)
        display.end(metrics)

    def _save(self) -> None:
        if not self._state.steps:
            return
        carried = {name: self.task.ranks.gather(part) for name, part in self.task.carried().items()}
        if self.task.ranks.is_first:
            self._state.save(self.directory, self.plan.identity, carried)

    def _publish(self, files: MetricsFiles) -> None:
        """The model and the metrics, for whoever wants to look or use them."""
        files.epochs(self.history)
        training = {**self.plan.identity, "finished": self.finished, "best_epoch": asdict(self.best)}
        with self._state.best_weights() as model:
            save_model(self.directory, model, self.plan.features, training)


def _nothing(metrics: StepMetrics) -> None: ...
