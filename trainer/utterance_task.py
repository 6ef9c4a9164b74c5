"""A model on batches of whole utterances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from trainer.config import StudentConfig
from trainer.corpus_task import CorpusTask
from trainer.examples import Examples
from trainer.lessons import Lesson, lessons
from trainer.loading import UtteranceBatches
from trainer.model_shapes import BLSTMShape, DNNShape
from trainer.models import AcousticModel
from trainer.objectives import Objective, Outcome, judge
from trainer.ranks import Ranks
from trainer.streams import Batch


class UtteranceTask(CorpusTask[AcousticModel]):
    """A `trainer.task.Task`: utterances of similar length side by side, nothing carried between batches."""

    def __init__(
        self,
        sources: Sequence[Examples],
        config: StudentConfig,
        shape: DNNShape | BLSTMShape,
        ranks: Ranks,
    ) -> None:
        super().__init__(sources, config.batch_frames, config.seed, ranks)
        self.config = config
        model: AcousticModel = shape.build(sources[0].input_dim, sources[0].class_count)
        self.model = model.to(ranks.device)

    def train(self, objective: Objective, epoch: int, first: int = 0) -> Iterator[Outcome]:
        batches = UtteranceBatches(
            self.sources,
            "train",
            frames=self.config.batch_frames,
            seed=self.config.seed,
            targets=objective.uses_targets,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
        )
        batches.load_state_dict(batches.state_dict() | {"epoch": epoch, "batch": first})
        device = self.ranks.device
        for lesson in lessons(batches, self.sources[0], objective, _side_by_side, device, self.waiting):
            yield self._outcome(objective, lesson)

    def _outcome(self, objective: Objective, lesson: Lesson) -> Outcome:
        batch, rows = lesson.batch, lesson.rows
        lengths = batch.mask.sum(dim=0).tolist()
        utterances = [batch.features[:length, stream] for stream, length in enumerate(lengths) if length]
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.config.amp):
            hidden = self.model.embed(utterances or [batch.features[:1, 0]])[: len(rows)]
            logits = self.model.classify(hidden)
        labels = batch.labels.flatten()[rows]
        return judge(objective, logits.float(), labels, lesson.soften, lambda: batch.utterance_ids)


def _side_by_side(batch: Batch) -> Tensor:
    """An utterance's frames lie as many rows apart as there are streams; one utterance after another."""
    steps, streams = batch.mask.shape
    rows = batch.mask.T.flatten().nonzero()[:, 0]
    return rows % steps * streams + rows // steps
