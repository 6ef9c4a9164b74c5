"""The student: an LSTMP taught by labels, by a teacher's soft targets, or by both, from a store anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from softstore.codecs.unpacked import select
from softstore.errors import InvalidInputError
from trainer.config import StudentConfig, Targets
from trainer.evaluation import validate
from trainer.examples import Examples
from trainer.loop import Display, Plan, Run
from trainer.models import LSTMP, LSTMPConfig
from trainer.models.lstmp import State
from trainer.objectives import Objective, Outcome, judge
from trainer.streams import Batch, pack


class StreamTask:
    """An LSTMP on streams of utterances by truncated back-propagation; a `trainer.loop.Task`."""

    def __init__(self, examples: Examples, config: StudentConfig) -> None:
        torch.manual_seed(config.seed)
        self.examples = examples
        self.config = config
        self.batch_frames = config.streams * config.chunk_frames
        self.train_frames = examples.num_frames("train")
        examples.num_frames("cv")
        if examples.codec is None and config.targets is not Targets.HARD:
            raise InvalidInputError(
                f"{examples.url} is a corpus and has no soft targets: make a store of it with "
                "`softstore generate`, or train with --targets hard."
            )
        shape = LSTMPConfig(
            examples.input_dim,
            examples.class_count,
            layers=config.layers,
            cells=config.cells,
            projection=config.projection,
            delay=config.delay,
        )
        self.model = LSTMP(shape)

    def prepare(self) -> None:
        """Estimate the features' normalisation and the senones' prior from the training data."""
        total = torch.zeros(2, self.model.input_dim, dtype=torch.float64)
        counts = torch.zeros(self.model.class_count, dtype=torch.int64)
        for example in self.examples.in_order("train"):
            exact = example.features.double()
            total += torch.stack([exact.sum(dim=0), exact.square().sum(dim=0)])
            counts += torch.bincount(example.labels, minlength=len(counts))
        mean, square = total / self.train_frames
        self.model.mean.copy_(mean)
        self.model.scale.copy_((square - mean.square()).clamp_min(1e-8).rsqrt())
        self.model.set_prior(counts)

    def train(self, objective: Objective, epoch: int) -> Iterator[Outcome]:
        order = self.examples.shuffled(
            "train", seed=self.config.seed, epoch=epoch, targets=objective.uses_targets
        )
        states = self.model.initial_state(self.config.streams)
        for batch in pack(order, self.config.streams, self.config.chunk_frames, self.config.delay):
            hidden, states = self.model.steps(batch.features, _reset(states, batch.reset))
            rows = batch.mask.flatten().nonzero()[:, 0]
            if len(rows):
                yield self._outcome(objective, hidden, batch, rows)

    def validate(self, objective: Objective) -> Iterator[Outcome]:
        return validate(self.model, self.examples, "cv", objective)

    def _outcome(self, objective: Objective, hidden: Tensor, batch: Batch, rows: Tensor) -> Outcome:
        """Only the steps that have a target reach the output layer and are softened."""
        logits = self.model.classify(hidden.flatten(0, 1).index_select(0, rows))
        labels = batch.labels.flatten()[rows]
        soften = self.examples.softener(select(batch.encoded, rows))
        return judge(objective, logits, labels, soften, lambda: batch.utterance_ids)


def train_student(examples: Examples, config: StudentConfig, directory: Path, display: Display) -> Run:
    """Train an LSTMP on a store, or go on with a run that was interrupted.

    Raises:
        InvalidInputError: there is nothing to train on, or no soft targets for an objective that needs them.
        ConflictError: the directory holds a run of another configuration.
        SoftstoreError: the loss became infinite or no number.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    task = StreamTask(examples, config)
    plan = Plan(
        config.stages(),
        config.sgd,
        config.newbob,
        {"kind": "lstmp", **config.to_json(), **examples.identity()},
        examples.attributes.features,
    )
    run = Run(task, plan, directory)
    run.fit(display)
    return run


def _reset(states: list[State], reset: Tensor) -> list[State]:
    """The states with zeros in the streams that begin an utterance."""
    keep = (~reset)[:, None]
    return [State(state.projected * keep, state.cell * keep) for state in states]
