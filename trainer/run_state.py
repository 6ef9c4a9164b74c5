"""Where a training run is, and all that it needs to go on from there to the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softstore.errors import FormatError, InvalidInputError
from trainer.config import Stage
from trainer.identity import check_same
from trainer.metrics import EpochMetrics, Sums
from trainer.models import AcousticModel
from trainer.ranks import Ranks
from trainer.schedule import Schedule, schedule_from_json
from trainer.training_state import STATE, TrainingState, load_state, named, save_state

_FORMAT = 3


class RunState:
    """Of a run in the middle of an epoch, or between two.

    Attributes:
        stage: how many stages are over.
        schedule: of the stage under way; None if it has not begun.
        epoch: what the epoch under way has come to; no batches: it has not begun.
        steps: updates in the whole run.
        learning_rate: of the last one.
        history: metrics of all finished epochs.
        kept: the weights of the best epoch; of a stage without one, those that it began with.
    """

    def __init__(self, model: AcousticModel, optimizer: torch.optim.Optimizer, ranks: Ranks) -> None:
        self.model = model
        self.optimizer = optimizer
        self.ranks = ranks
        self.stage = 0
        self.schedule: Schedule | None = None
        self.epoch = Sums()
        self.steps = 0
        self.learning_rate = 0.0
        self.history: list[EpochMetrics] = []
        self.kept: dict[str, Tensor] = {}

    def keep(self) -> None:
        """Take the present weights for the best."""
        self.kept = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    @contextmanager
    def best_weights(self) -> Iterator[AcousticModel]:
        """The model with the weights that are kept, while the context lasts."""
        present = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.kept)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(present)

    def end_epoch(self, stage: Stage, cv: Sums, cv_seconds: float) -> EpochMetrics:
        """Judge the epoch by its cross-validation, undo it if need be, end the stage if it was the last."""
        assert self.schedule is not None
        accepted = self.schedule.judge(cv.mean_loss)
        over = self.schedule.finished or self.schedule.epochs >= stage.epochs
        if accepted:
            self.keep()
        elif self.schedule.rejects or over:
            self.model.load_state_dict(self.kept)
            self.optimizer.state.clear()
        metrics = EpochMetrics(
            epoch=len(self.history) + 1,
            objective=str(stage.objective),
            learning_rate=self.learning_rate,
            train_loss=self.epoch.mean_loss,
            train_accuracy=self.epoch.accuracy,
            cv_loss=cv.mean_loss,
            cv_accuracy=cv.accuracy,
            accepted=accepted,
            frames_per_second=self.epoch.frames_per_second,
            data_wait=self.epoch.data_wait,
            seconds=self.epoch.seconds + cv_seconds,
        )
        self.history.append(metrics)
        self.epoch = Sums()
        if over:
            self.stage += 1
            self.schedule = None
            self.optimizer.state.clear()
        return metrics

    def save(self, directory: Path, identity: Mapping[str, Any], carried: Mapping[str, Tensor]) -> None:
        """Replace what the directory holds; ``carried`` is of all ranks."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"kept.{name}": tensor for name, tensor in self.kept.items()}
        tensors |= {f"carried.{name}": tensor for name, tensor in carried.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{key}.{name}"] = value
        tensors["random"] = torch.get_rng_state()
        progress = {
            "format": _FORMAT,
            "identity": dict(identity),
            "stage": self.stage,
            "schedule": self.schedule and self.schedule.to_json(),
            "epoch": asdict(self.epoch),
            "steps": self.steps,
            "learning_rate": self.learning_rate,
            "history": [asdict(metrics) for metrics in self.history],
        }
        save_state(directory, TrainingState(tensors, progress))

    def load(self, directory: Path, identity: Mapping[str, Any]) -> dict[str, Tensor] | None:
        """Go on from what the directory holds; returns what the model carried, None if there is nothing.

        Raises:
            ConflictError: it holds a run of another configuration, or of other stores.
            FormatError: it was saved by another version.
            InvalidInputError: ranks do not see the same.
        """
        state = load_state(directory)
        found, steps = self.ranks.sum([state is not None, state.progress.get("steps", 0) if state else 0])
        if state is None and not found:
            return None
        if state is None or (found, steps) != tuple(
            self.ranks.world_size * value for value in (1, state.progress.get("steps", 0))
        ):
            raise InvalidInputError(
                f"Not all ranks see the same {directory}: it must be one that they share."
            )
        progress, tensors = state.progress, state.tensors
        if progress.get("format") != _FORMAT:
            raise FormatError(
                f"{directory / STATE} was saved by another version of softstore: go on with that one, or "
                "remove it to train afresh."
            )
        check_same(directory, identity, progress["identity"])
        self.model.load_state_dict(named(tensors, "model"))
        self.kept = named(tensors, "kept")
        of_optimizer = named(tensors, "optimizer")
        for name, parameter in self.model.named_parameters():
            for key, value in of_optimizer.items():
                if key.partition(".")[2] == name:
                    # Numbers, such as AdamW's count of steps, stay where they are.
                    there = value.to(parameter.device) if value.dim() else value
                    self.optimizer.state[parameter][key.partition(".")[0]] = there
        torch.set_rng_state(tensors["random"])
        self.stage = progress["stage"]
        self.schedule = schedule_from_json(progress["schedule"]) if progress["schedule"] else None
        self.epoch = Sums(**progress["epoch"])
        self.steps = progress["steps"]
        self.learning_rate = progress["learning_rate"]
        self.history = [EpochMetrics(**metrics) for metrics in progress["history"]]
        return named(tensors, "carried")
