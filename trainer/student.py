"""The student: taught by labels, by a teacher's soft targets, or by both, from a store anywhere."""

from __future__ import annotations

from pathlib import Path

import torch

from trainer.config import StudentConfig
from trainer.examples import Examples
from trainer.loop import Plan, Run
from trainer.model_shapes import LSTMShape
from trainer.ranks import Ranks
from trainer.stream_task import StreamTask
from trainer.task import Display
from trainer.utterance_task import UtteranceTask


def train_student(
    examples: Examples,
    config: StudentConfig,
    directory: Path,
    display: Display,
    ranks: Ranks = Ranks(),
) -> Run:
    """Train a student on a store, or go on with a run that was interrupted.

    Args:
        ranks: that train it together, and the device; every one of them is to call this.

    Raises:
        InvalidInputError: there is nothing to train on, or not what an objective needs of the teacher.
        ConflictError: the directory holds a run of another configuration.
        SoftstoreError: the loss became infinite or no number.
        Stopped: SIGTERM or SIGINT came; the state is saved.
    """
    for stage in config.stages():
        stage.objective.check_stored(examples.codec, examples.url)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    task = (
        StreamTask(examples, config, config.model, ranks)
        if isinstance(config.model, LSTMShape)
        else UtteranceTask(examples, config, config.model, ranks)
    )
    plan = Plan.of(config, examples)
    run = Run(task, plan, directory)
    run.fit(display)
    return run
