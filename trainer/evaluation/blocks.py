"""What a model says of whole utterances, some thousand frames at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import torch
from torch import Tensor

from softstore.codecs import Codec
from softstore.codecs.stored import join
from softstore.codecs.unpacked import select, span
from softstore.errors import InvalidInputError
from softstore.planner import padded_frames
from trainer.examples import Example, Examples
from trainer.models import AcousticModel

_WINDOW_UTTERANCES = 256
_BATCH_UTTERANCES = 32
_BATCH_FRAMES = 16_384
_BLOCK_FRAMES = 2048

Numbered = tuple[int, Example]


@dataclass(frozen=True, slots=True)
class Block:
    """Some frames of some utterances, as a model sees them and as they should be.

    Attributes:
        logits: (frames, classes), float32.
        labels: (frames,), int64.
        unpacked: the teacher's frames, see `softstore.codecs.unpacked`; empty without targets.
        utterance: which of ``utterance_ids`` each frame belongs to, (frames,), int64.
        numbers: of these utterances, counted from 0 in the order in which they were given.
    """

    logits: Tensor
    labels: Tensor
    unpacked: dict[str, Tensor]
    utterance: Tensor
    utterance_ids: list[str]
    numbers: list[int]


def blocks(model: AcousticModel, examples: Iterable[Example], codec: Codec | None) -> Iterator[Block]:
    """The model's outputs for all frames, on its device, whole utterances of similar length side by side.

    Args:
        codec: of the examples' encoded frames.
    """
    device = model.log_prior.device
    for numbered in _batches(examples):
        numbers, batch = [number for number, _ in numbered], [example for _, example in numbered]
        with torch.inference_mode():
            hidden = model.embed([example.features.to(device) for example in batch])
        labels = torch.cat([example.labels for example in batch]).to(device)
        unpacked = {} if codec is None else _unpacked(codec, batch, device)
        lengths = torch.tensor([len(example) for example in batch])
        utterance = torch.repeat_interleave(torch.arange(len(batch)), lengths).to(device)
        ids = [example.utterance_id for example in batch]
        for start in range(0, len(labels), _BLOCK_FRAMES):
            rows = slice(start, start + _BLOCK_FRAMES)
            with torch.inference_mode():
                logits = model.classify(hidden[rows])
            here = span(unpacked, rows.start, rows.stop)
            yield Block(logits, labels[rows], here, utterance[rows], ids, numbers)


def _unpacked(codec: Codec, examples: Sequence[Example], device: torch.device) -> dict[str, Tensor]:
    """The teacher's frames of some utterances, without those that fill up blocks."""
    if not examples[0].encoded:
        return {}
    rows = [padded_frames(len(example), codec.block_frames) for example in examples]
    stored = join([(example.encoded, 0, count) for example, count in zip(examples, rows, strict=True)])
    firsts = [0, *accumulate(rows)]
    wanted = [torch.arange(first, first + len(each)) for first, each in zip(firsts, examples, strict=False)]
    encoded = {name: torch.from_numpy(array).to(device) for name, array in stored.items()}
    return select(codec.unpack(encoded), torch.cat(wanted).to(device))


def check_fits(model: AcousticModel, examples: Examples) -> None:
    """Raises `InvalidInputError` if a model and frames differ in dimensions or classes."""
    ours, theirs = (model.input_dim, model.class_count), (examples.input_dim, examples.class_count)
    if ours != theirs:
        raise InvalidInputError(
            f"The model reads {ours[0]} features and knows {ours[1]} classes, {examples.url} has "
            f"{theirs[0]} and {theirs[1]}: evaluate it on the corpus it was trained on."
        )


def _batches(examples: Iterable[Example]) -> Iterator[list[Numbered]]:
    """Utterances sorted by length within a window, so that little is padded."""
    source = enumerate(examples)
    while window := sorted(islice(source, _WINDOW_UTTERANCES), key=lambda numbered: len(numbered[1])):
        batch: list[Numbered] = []
        for numbered in window:
            frames = (len(batch) + 1) * len(numbered[1])
            if batch and (len(batch) == _BATCH_UTTERANCES or frames > _BATCH_FRAMES):
                yield batch
                batch = []
            batch.append(numbered)
        yield batch
