"""An objective on a split, between two epochs of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import torch

from trainer.evaluation.blocks import blocks
from trainer.examples import Examples
from trainer.models import AcousticModel
from trainer.objectives import Objective, Outcome, Softener, judge


def validate(
    model: AcousticModel,
    sources: Sequence[Examples],
    split: str,
    objective: Objective,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Outcome]:
    """An objective on all frames of a split, without gradients; of W ranks each does every W-th utterance.

    Args:
        sources: one store after the other; they are encoded alike.
    """
    utterances = (
        example
        for examples in sources
        for example in examples.in_order(split, targets=objective.uses_targets)
    )
    codec, class_count = sources[0].codec, sources[0].class_count
    for block in blocks(model, islice(utterances, rank, None, world_size), codec):
        soften = None if codec is None else Softener(codec, class_count, block.unpacked)
        with torch.inference_mode():
            yield judge(objective, block.logits, block.labels, soften, partial(list, block.utterance_ids))
