"""How well a model does on whole utterances: frame accuracy, cross entropy, divergence from its teacher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from softstore.codecs.unpacked import join, span
from softstore.errors import InvalidInputError
from softstore.softening import kl_divergence, log_soften
from trainer.examples import Example, Examples
from trainer.models import AcousticModel
from trainer.objectives import Objective, Outcome, judge

KL_TEMPERATURES = (1.0, 2.0)
CONDITION = "condition"

_WINDOW_UTTERANCES = 256
_BATCH_UTTERANCES = 32
_BATCH_FRAMES = 16_384
_BLOCK_FRAMES = 2048


@dataclass(frozen=True, slots=True)
class Block:
    """Some frames of some utterances, as a model sees them and as they should be.

    Attributes:
        logits: (frames, classes), float32.
        labels: (frames,), int64.
        encoded: the teacher's, unpacked; empty without targets.
        utterance: which of ``utterance_ids`` each frame belongs to, (frames,), int64.
    """

    logits: Tensor
    labels: Tensor
    encoded: dict[str, Tensor]
    utterance: Tensor
    utterance_ids: list[str]


def blocks(model: AcousticModel, examples: Iterable[Example]) -> Iterator[Block]:
    """The model's outputs for all frames, whole utterances of similar length side by side."""
    for batch in _batches(examples):
        with torch.inference_mode():
            hidden = model.embed([example.features for example in batch])
        labels = torch.cat([example.labels for example in batch])
        encoded = join([example.encoded for example in batch])
        lengths = torch.tensor([len(example) for example in batch])
        utterance = torch.repeat_interleave(torch.arange(len(batch)), lengths)
        ids = [example.utterance_id for example in batch]
        for start in range(0, len(labels), _BLOCK_FRAMES):
            rows = slice(start, start + _BLOCK_FRAMES)
            with torch.inference_mode():
                logits = model.classify(hidden[rows])
            here = span(encoded, rows.start, rows.stop)
            yield Block(logits, labels[rows], here, utterance[rows], ids)


def validate(model: AcousticModel, examples: Examples, split: str, objective: Objective) -> Iterator[Outcome]:
    """An objective on all frames of a split, without gradients."""
    for block in blocks(model, examples.in_order(split, targets=objective.uses_targets)):
        soften = examples.softener(block.encoded)
        with torch.inference_mode():
            yield judge(objective, block.logits, block.labels, soften, partial(list, block.utterance_ids))


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Utterances sorted by length within a window, so that little is padded."""
    source = iter(examples)
    while window := sorted(islice(source, _WINDOW_UTTERANCES), key=len):
        batch: list[Example] = []
        for example in window:
            if batch and (len(batch) == _BATCH_UTTERANCES or (len(batch) + 1) * len(example) > _BATCH_FRAMES):
                yield batch
                batch = []
            batch.append(example)
        yield batch


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over frames.

    Attributes:
        frame_accuracy: per cent.
        cross_entropy: with the hard labels, nats.
        kl: by temperature T: KL(p_T ‖ y_T), teacher and model both softened by T, nats; empty without
            targets.
    """

    utterances: int
    frames: int
    frame_accuracy: float
    cross_entropy: float
    kl: dict[str, float]

    @classmethod
    def of(cls, utterances: Sequence[Tensor]) -> Scores:
        """From each utterance's sums: frames, correct ones, cross entropy, and KL by temperature."""
        frames, correct, cross_entropy, *kl = torch.stack(list(utterances)).sum(dim=0).tolist()
        by_temperature = zip(KL_TEMPERATURES, kl, strict=False)
        return cls(
            len(utterances),
            round(frames),
            100 * correct / frames,
            cross_entropy / frames,
            {f"{temperature:g}": total / frames for temperature, total in by_temperature},
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one split, altogether and by noise condition where the manifest has that column."""

    total: Scores
    conditions: dict[str, Scores]

    def to_json(self) -> dict[str, Any]:
        """The total's fields, with ``conditions`` beside them if there are any."""
        conditions = {name: asdict(scores) for name, scores in self.conditions.items()}
        return asdict(self.total) | ({"conditions": conditions} if conditions else {})


def evaluate(
    model: AcousticModel,
    examples: Examples,
    split: str,
    progress: Callable[[int], None] = lambda frames: None,
) -> Evaluation:
    """Score a model on all frames of a split.

    Args:
        progress: called with the number of frames just done.

    Raises:
        InvalidInputError: there is no such split, or the model was made for other frames.
    """
    check_fits(model, examples)
    examples.num_frames(split)
    by_utterance: dict[str, Tensor] = {}
    for block in blocks(model, examples.in_order(split, targets=examples.codec is not None)):
        log_y = torch.log_softmax(block.logits, dim=-1)
        columns = [
            torch.ones(len(log_y)),
            log_y.argmax(dim=-1) == block.labels,
            -log_y.gather(1, block.labels[:, None])[:, 0],
        ]
        if examples.codec is not None:
            for temperature in KL_TEMPERATURES:
                log_p = examples.codec.decode(block.encoded, examples.class_count, temperature)
                softened = log_y if temperature == 1 else log_soften(log_y, temperature)
                columns.append(kl_divergence(log_p, softened))
        frames = torch.stack([column.double() for column in columns], dim=1)
        sums = frames.new_zeros(len(block.utterance_ids), len(columns)).index_add_(0, block.utterance, frames)
        for utterance_id, row in zip(block.utterance_ids, sums, strict=True):
            by_utterance[utterance_id] = by_utterance.get(utterance_id, 0) + row
        progress(len(log_y))
    return Evaluation(Scores.of(list(by_utterance.values())), _by_condition(examples, split, by_utterance))


def check_fits(model: AcousticModel, examples: Examples) -> None:
    """Raises `InvalidInputError` if a model and frames differ in dimensions or classes."""
    ours, theirs = (model.input_dim, model.class_count), (examples.input_dim, examples.class_count)
    if ours != theirs:
        raise InvalidInputError(
            f"The model reads {ours[0]} features and knows {ours[1]} classes, {examples.url} has "
            f"{theirs[0]} and {theirs[1]}: evaluate it on the corpus it was trained on."
        )


def _by_condition(examples: Examples, split: str, by_utterance: Mapping[str, Tensor]) -> dict[str, Scores]:
    table = examples.frames.manifest.where(split=split)
    if CONDITION not in table.column_names:
        return {}
    groups: dict[Any, list[Tensor]] = defaultdict(list)
    rows = zip(table["utterance_id"].to_pylist(), table[CONDITION].to_pylist(), strict=True)
    for utterance_id, condition in rows:
        if utterance_id in by_utterance:
            groups[condition].append(by_utterance[utterance_id])
    return {str(condition): Scores.of(groups[condition]) for condition in sorted(groups)}
