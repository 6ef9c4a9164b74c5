"""The teacher: a DNN trained on shuffled frames with hard labels; and any trained model as a teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.checkpoint import is_checkpoint, load_model
from trainer.config import Stage, TeacherConfig
from trainer.evaluation import validate
from trainer.examples import Example, Examples
from trainer.lda import LDA
from trainer.loop import Display, Plan, Run
from trainer.models import DNN, AcousticModel, DNNConfig
from trainer.models.dnn import splice
from trainer.objectives import Kind, Objective, Outcome, judge

LDA_FRAMES = 200_000
"""LDA is estimated on about so many frames of the training data."""


@dataclass(frozen=True, slots=True)
class CheckpointTeacher:
    """A trained model as `softstore.teacher.Teacher`; `Batched` and `Movable`."""

    model: AcousticModel
    fingerprint: str
    description: Mapping[str, Any]

    @property
    def class_count(self) -> int:
        return self.model.class_count

    def log_posteriors(self, features: Tensor) -> Tensor:
        """log p at T = 1 in nats of one utterance: (frames, dimensions) → (frames, classes), both float32."""
        return self.log_posteriors_batch([features])[0]

    @torch.inference_mode()
    def log_posteriors_batch(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """The same of several utterances in one forward pass, on the model's device."""
        lengths = [len(utterance) for utterance in features]
        there = torch.cat(list(features)).to(self.model.log_prior.device, non_blocking=True)
        logits = self.model.classify(self.model.embed(torch.split(there, lengths)))
        return torch.split(torch.log_softmax(logits, dim=-1), lengths)

    def to(self, device: torch.device) -> CheckpointTeacher:
        return replace(self, model=self.model.to(device))


def load_teacher(path: Path) -> CheckpointTeacher | None:
    """The model in a directory that the trainer wrote, DNN or LSTMP; None if it is another kind of directory.

    Raises:
        FormatError: it is of a version this release does not know.
        CorruptDataError: it is damaged.
    """
    if not is_checkpoint(path):
        return None
    checkpoint = load_model(path)
    return CheckpointTeacher(checkpoint.model, checkpoint.fingerprint, checkpoint.description)


class FrameTask:
    """A DNN on minibatches of shuffled frames; a `trainer.loop.Task`.

    Frames are held as features, and spliced batch by batch. A corpus of more than ``block_frames`` is read
    again every epoch, in blocks of shuffled utterances whose frames are shuffled; a smaller one is a single
    block, kept in memory.
    """

    def __init__(self, examples: Examples, config: TeacherConfig) -> None:
        torch.manual_seed(config.seed)
        self.examples = examples
        self.config = config
        self.batch_frames = config.batch_frames
        self.train_frames = examples.num_frames("train")
        examples.num_frames("cv")
        shape = DNNConfig(
            examples.input_dim,
            examples.class_count,
            context=config.context,
            transform_dim=min(config.transform_dim, (2 * config.context + 1) * examples.input_dim),
            layers=config.layers,
            hidden=config.hidden,
        )
        self.model = DNN(shape)
        self._kept: _Block | None = None

    def prepare(self) -> None:
        """Estimate the input transform and the senones' prior from the training data."""
        lda = LDA(self.model.config.spliced_dim, self.model.class_count)
        every = max(self.train_frames // LDA_FRAMES, 1)
        counts = torch.zeros(self.model.class_count, dtype=torch.int64)
        for number, example in enumerate(self.examples.in_order("train")):
            counts += torch.bincount(example.labels, minlength=len(counts))
            if number % every == 0:
                lda.add(splice(example.features, self.model.config.context), example.labels)
        transform, offset = lda.solve(self.model.config.transform_dim)
        self.model.transform.copy_(transform)
        self.model.offset.copy_(offset)
        self.model.set_prior(counts)

    def train(self, objective: Objective, epoch: int) -> Iterator[Outcome]:
        generator = np.random.default_rng([self.config.seed, epoch])
        for block in self._blocks(epoch):
            order = torch.from_numpy(generator.permutation(len(block.labels)))
            for rows in torch.split(order, self.batch_frames):
                spliced, labels = block.batch(rows, self.config.context)
                logits = self.model.classify(self.model.hidden(spliced))
                yield judge(objective, logits, labels, None, partial(block.sources, rows))

    def validate(self, objective: Objective) -> Iterator[Outcome]:
        return validate(self.model, self.examples, "cv", objective)

    def _blocks(self, epoch: int) -> Iterator[_Block]:
        if self._kept is not None:
            yield self._kept
            return
        whole = self.train_frames <= self.config.block_frames
        gathered: list[Example] = []
        frames = 0
        # One block is shuffled whole anyway: its order must not depend on the epoch in which it was read.
        order = (
            self.examples.in_order("train")
            if whole
            else self.examples.shuffled("train", seed=self.config.seed, epoch=epoch)
        )
        for example in order:
            if gathered and frames + len(example) > self.config.block_frames:
                yield _Block.of(gathered)
                gathered, frames = [], 0
            gathered.append(example)
            frames += len(example)
        block = _Block.of(gathered)
        if whole:
            self._kept = block
        yield block


def train_teacher(examples: Examples, config: TeacherConfig, directory: Path, display: Display) -> Run:
    """Train a DNN on a corpus, or go on with a run that was interrupted.

    Raises:
        InvalidInputError: there is nothing to train on.
        ConflictError: the directory holds a run of another configuration.
        SoftstoreError: the loss became infinite or no number.
    """
    task = FrameTask(examples, config)
    plan = Plan(
        [Stage(Objective(Kind.HARD), config.epochs, config.sgd.learning_rate)],
        config.sgd,
        config.newbob,
        {"kind": "dnn", **config.to_json(), **examples.identity()},
        examples.attributes.features,
    )
    run = Run(task, plan, directory)
    run.fit(display)
    return run


@dataclass(frozen=True, slots=True)
class _Block:
    """Frames of some utterances in memory.

    Attributes:
        features: (frames, dimensions), float32.
        labels: (frames,), int64.
        first, last: of the utterance that each frame belongs to, (frames,), int64: where splicing stops.
        starts: the first frame of each utterance, rising.
    """

    features: Tensor
    labels: Tensor
    first: Tensor
    last: Tensor
    starts: Tensor
    utterance_ids: Sequence[str]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> _Block:
        lengths = torch.tensor([len(example) for example in examples])
        ends = lengths.cumsum(0)
        return cls(
            torch.cat([example.features for example in examples]),
            torch.cat([example.labels for example in examples]),
            torch.repeat_interleave(ends - lengths, lengths),
            torch.repeat_interleave(ends - 1, lengths),
            ends - lengths,
            [example.utterance_id for example in examples],
        )

    def batch(self, rows: Tensor, context: int) -> tuple[Tensor, Tensor]:
        """Spliced frames, (rows, (2·context + 1)·dimensions), and their labels, (rows,)."""
        index = rows[:, None] + torch.arange(-context, context + 1)
        index = index.maximum(self.first[rows, None]).minimum(self.last[rows, None])
        return self.features[index].flatten(1), self.labels[rows]

    def sources(self, rows: Tensor) -> list[str]:
        """The utterances these rows come from."""
        numbers = torch.searchsorted(self.starts, rows, right=True) - 1
        return [self.utterance_ids[number] for number in sorted(set(numbers.tolist()))]
