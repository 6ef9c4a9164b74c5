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
from trainer.config import TeacherConfig
from trainer.corpus_task import CorpusTask
from trainer.examples import Example, Examples
from trainer.loading.frame_blocks import FrameBlocks
from trainer.loop import Plan, Run
from trainer.models import DNN, AcousticModel
from trainer.objectives import Objective, Outcome, judge
from trainer.ranks import Ranks
from trainer.task import Display


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
    """The model in a directory that the trainer wrote, of any kind; None if it is another kind of directory.

    Raises:
        FormatError: it is of a version this release does not know.
        CorruptDataError: it is damaged.
    """
    if not is_checkpoint(path):
        return None
    checkpoint = load_model(path)
    return CheckpointTeacher(checkpoint.model, checkpoint.fingerprint, checkpoint.description)


class FrameTask(CorpusTask[DNN]):
    """A DNN on minibatches of shuffled frames; a `trainer.task.Task`.

    Frames are held as features, and spliced batch by batch. A corpus of more than ``block_frames`` is read
    again every epoch, in blocks of shuffled utterances whose frames are shuffled; a smaller one is a single
    block, kept in memory.
    """

    def __init__(self, examples: Examples, config: TeacherConfig, ranks: Ranks = Ranks()) -> None:
        super().__init__([examples], config.batch_frames, config.seed, ranks)
        self.examples = examples
        self.config = config
        self.model = config.model.build(examples.input_dim, examples.class_count).to(ranks.device)
        self._kept: _Block | None = None

    def train(self, objective: Objective, epoch: int, first: int = 0) -> Iterator[Outcome]:
        for number, block, begin in self.waiting.over(self._blocks(epoch, first)):
            generator = np.random.default_rng([self.config.seed, epoch, number])
            order = torch.from_numpy(generator.permutation(len(block.labels)))
            for rows in torch.split(order, self.batch_frames)[begin:]:
                yield self._outcome(objective, block, rows[self.ranks.rank :: self.ranks.world_size])

    def _outcome(self, objective: Objective, block: _Block, rows: Tensor) -> Outcome:
        spliced, labels = (
            part.to(self.ranks.device) for part in block.batch(rows, self.model.config.context)
        )
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.config.amp):
            logits = self.model.classify(self.model.hidden(spliced))
        return judge(objective, logits.float(), labels, None, partial(block.sources, rows))

    def _blocks(self, epoch: int, first: int) -> Iterator[tuple[int, _Block, int]]:
        """Each block that is not over before batch ``first``: its number, and where in it to begin."""
        if self.train_frames <= self.config.block_frames:
            if self._kept is None:
                self._kept = _Block.of(list(self.examples.in_order("train")))
            yield 0, self._kept, first
            return
        blocks = FrameBlocks(
            self.examples, "train", block_frames=self.config.block_frames, seed=self.config.seed, epoch=epoch
        )
        batches = [-(-frames // self.batch_frames) for frames in blocks.frames]
        before = 0
        while before < len(batches) and first >= batches[before]:
            first -= batches[before]
            before += 1
        for number, gathered in enumerate(blocks.read(before), before):
            yield number, _Block.of(gathered), first
            first = 0


def train_teacher(
    examples: Examples,
    config: TeacherConfig,
    directory: Path,
    display: Display,
    ranks: Ranks = Ranks(),
) -> Run:
    """Train a DNN on a corpus, or go on with a run that was interrupted.

    Args:
        ranks: that train it together, and the device; every one of them is to call this.

    Raises:
        InvalidInputError: there is nothing to train on.
        ConflictError: the directory holds a run of another configuration.
        SoftstoreError: the loss became infinite or no number.
        Stopped: SIGTERM or SIGINT came; the state is saved.
    """
    plan = Plan.of(config, [examples])
    run = Run(FrameTask(examples, config, ranks), plan, directory)
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
