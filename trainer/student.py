"""The student: taught by labels, by a teacher's soft targets, or by both, from a store anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from softstore.allocation import keep_memory
from trainer.config import StudentConfig
from trainer.examples import Examples
from trainer.loading.batches import check_go_together
from trainer.loop import Plan, Run
from trainer.model_shapes import LSTMShape
from trainer.ranks import Ranks
from trainer.stream_task import StreamTask
from trainer.task import Display
from trainer.utterance_task import UtteranceTask


def train_student(
    examples: Examples | Sequence[Examples],
    config: StudentConfig,
    directory: Path,
    display: Display,
    ranks: Ranks = Ranks(),
) -> Run:
    """Train a student on a store, or on several mixed, or go on with a run that was interrupted.

    Args:
        examples: of several, their order matters where a run goes on.
        ranks: that train it together, and the device; every one of them is to call this.

    Raises:
        InvalidInputError: there is nothing to train on, not what an objective needs of the teacher, or
            stores do not go together.
        ConflictError: the directory holds a run of another configuration, or of other stores.
        SoftstoreError: the loss became infinite or no number.
        Stopped: SIGTERM or SIGINT came; the state is saved.
    """
    sources = [examples] if isinstance(examples, Examples) else list(examples)
    objectives = [stage.objective for stage in config.stages()]
    for objective in objectives:
        for source in sources:
            objective.check_stored(source.codec, source.url)
    check_go_together(sources, any(objective.uses_targets for objective in objectives))
    keep_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    task = (
        StreamTask(sources, config, config.model, ranks)
        if isinstance(config.model, LSTMShape)
        else UtteranceTask(sources, config, config.model, ranks)
    )
    plan = Plan.of(config, sources)
    run = Run(task, plan, directory)
    run.fit(display)
    return run
