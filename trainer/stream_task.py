"""An LSTM on streams of utterances, by truncated back-propagation through time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from trainer.config import StudentConfig
from trainer.corpus_task import CorpusTask
from trainer.examples import Examples
from trainer.lessons import Lesson, lessons
from trainer.loading import StreamBatches
from trainer.model_shapes import LSTMShape
from trainer.models import RecurrentModel, State
from trainer.models.graphed import GraphedSteps
from trainer.objectives import Objective, Outcome, judge
from trainer.ranks import Ranks
from trainer.streams import Batch


class StreamTask(CorpusTask[RecurrentModel]):
    """A `trainer.task.Task`: each stream reads one utterance after another, the LSTM's state goes along."""

    def __init__(
        self, sources: Sequence[Examples], config: StudentConfig, shape: LSTMShape, ranks: Ranks
    ) -> None:
        super().__init__(sources, config.streams * config.chunk_frames, config.seed, ranks)
        self.config = config
        self.shape = shape
        self.model = shape.build(sources[0].input_dim, sources[0].class_count).to(ranks.device)
        self._steps = GraphedSteps(self.model)
        self._states: list[State] = []

    def train(self, objective: Objective, epoch: int, first: int = 0) -> Iterator[Outcome]:
        batches = self.batches(objective, epoch, first)
        if first == 0:
            self._states = self.model.initial_state(self.config.streams // self.ranks.world_size)
        device = self.ranks.device
        for lesson in lessons(batches, self.sources[0], objective, _targets, device, self.waiting):
            yield self._outcome(objective, lesson)

    def batches(self, objective: Objective, epoch: int, first: int = 0) -> Iterable[Batch]:
        """What `train` learns from: this rank's batches of an epoch, from batch ``first`` on."""
        batches = StreamBatches(
            self.sources,
            "train",
            streams=self.config.streams,
            chunk_frames=self.config.chunk_frames,
            delay=self.shape.delay,
            seed=self.config.seed,
            targets=objective.uses_targets,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
        )
        batches.load_state_dict(batches.state_dict() | {"epoch": epoch, "batch": first})
        return batches

    def carried(self) -> dict[str, Tensor]:
        return {
            f"{layer}.{name}": tensor
            for layer, state in enumerate(self._states)
            for name, tensor in state._asdict().items()
        }

    def carry_on(self, carried: dict[str, Tensor]) -> None:
        def ours(layer: int, name: str) -> Tensor:
            part = carried[f"{layer}.{name}"].tensor_split(self.ranks.world_size)[self.ranks.rank]
            return part.to(self.ranks.device)

        self._states = [
            State(**{name: ours(layer, name) for name in State._fields}) for layer in range(self.shape.layers)
        ]

    def _outcome(self, objective: Objective, lesson: Lesson) -> Outcome:
        """Only the steps that have a target reach the output layer."""
        batch = lesson.batch
        hidden, self._states = self._steps(batch.features, _reset(self._states, batch.reset))
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.config.amp):
            logits = self.model.classify(hidden.flatten(0, 1).index_select(0, lesson.rows))
        labels = batch.labels.flatten()[lesson.rows]
        return judge(objective, logits.float(), labels, lesson.soften, lambda: batch.utterance_ids)


def _targets(batch: Batch) -> Tensor:
    return batch.mask.flatten().nonzero()[:, 0]


def _reset(states: list[State], reset: Tensor) -> list[State]:
    """The states with zeros in the streams that begin an utterance."""
    keep = (~reset)[:, None]
    return [State(state.projected * keep, state.cell * keep) for state in states]
