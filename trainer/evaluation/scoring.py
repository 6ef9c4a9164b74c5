"""A model's scores on a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc
import torch
from torch import Tensor

from softstore.codecs import Codec
from softstore.divergence import divergence_by_temperature
from softstore.softening import kl_divergence, log_soften
from trainer.evaluation.blocks import Block, blocks, check_fits
from trainer.evaluation.groups import groups_of
from trainer.evaluation.scores import KL_TEMPERATURES, Bin, Scores, Tally
from trainer.examples import Examples
from trainer.models import AcousticModel


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one split.

    Attributes:
        reliability: of all frames, by confidence.
        by: by manifest column and its value.
    """

    total: Scores
    reliability: list[Bin]
    by: dict[str, dict[str, Scores]]

    def to_json(self) -> dict[str, Any]:
        """The total's fields, with ``reliability`` and ``by`` beside them."""
        by = {
            column: {value: asdict(scores) for value, scores in groups.items()}
            for column, groups in self.by.items()
        }
        return {**asdict(self.total), "reliability": [asdict(bin_) for bin_ in self.reliability], "by": by}


def evaluate(
    model: AcousticModel,
    examples: Examples,
    split: str,
    by: Sequence[str] | None = None,
    progress: Callable[[int], None] = lambda frames: None,
) -> Evaluation:
    """Score a model on all frames of a split.

    Args:
        by: manifest columns; None: ``condition`` and ``speaker``, where they are there.
        progress: called with the number of frames just done.

    Raises:
        InvalidInputError: there is no such split or column, or the model was made for other frames.
    """
    check_fits(model, examples)
    examples.num_frames(split)
    # In the order in which they are read, which leaves those without frames out.
    utterances = examples.frames.manifest.where(split=split)
    utterances = utterances.filter(pc.greater(utterances["num_frames"], 0))
    columns = groups_of(utterances, by)
    # Group 0 has all frames; those of each column follow one another.
    everything = torch.zeros(len(utterances), dtype=torch.int64)
    numbers, firsts = [everything], [0, 1]
    for groups in columns:
        numbers.append(firsts[-1] + groups.of_utterance)
        firsts.append(firsts[-1] + len(groups.values))
    tally = Tally(firsts[-1], KL_TEMPERATURES if examples.codec is not None else ())
    for block in blocks(model, examples.in_order(split, targets=examples.codec is not None), examples.codec):
        log_y = torch.log_softmax(block.logits, dim=-1)
        divergence = [] if examples.codec is None else _divergence(examples.codec, block, log_y)
        utterance = torch.tensor(block.numbers)[block.utterance.cpu()]
        tally.add(log_y, block.labels, divergence, [group[utterance] for group in numbers])
        progress(len(log_y))
    by_column = {
        groups.column: {
            value: tally.scores(first + number, count)
            for number, (value, count) in enumerate(zip(groups.values, groups.utterances(), strict=True))
        }
        for first, groups in zip(firsts[1:], columns, strict=False)
    }
    return Evaluation(tally.scores(0, len(utterances)), tally.reliability(0), by_column)


def _divergence(codec: Codec, block: Block, log_y: Tensor) -> list[Tensor]:
    """KL(p_T ‖ y_T) of each frame at each of `KL_TEMPERATURES`."""
    classes = log_y.shape[1]
    if codec.full_support:
        return divergence_by_temperature(codec.decode(block.unpacked, classes), log_y, KL_TEMPERATURES)
    return [
        kl_divergence(codec.decode(block.unpacked, classes, temperature), log_soften(log_y, temperature))
        for temperature in KL_TEMPERATURES
    ]
