"""Utterances → batches for truncated back-propagation through time.

Each of S streams reads one utterance after another, T frames a batch. A network's state is carried from
batch to batch within an utterance and reset where a stream begins a new one; a stream whose utterance ends
inside a batch is padded to its end, as in Kaldi. Outputs come ``delay`` frames late: step t of an utterance
reads frame t, past the end its last frame again, and is asked for the label of frame t - delay, so that
every frame has an output and a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.codecs.unpacked import OVERFLOW, OVERFLOW_FRAMES, span
from trainer.examples import Example


@dataclass(frozen=True, slots=True)
class Batch:
    """T steps of S streams.

    Attributes:
        features: (T, S, dimensions), float32; zero in padding.
        labels: (T, S), int64, already delayed.
        mask: (T, S), bool: the steps that have a target.
        reset: (S,), bool: the streams that begin an utterance here.
        encoded: the codec's unpacked frames, rows in the order of ``labels``.
        utterance_ids: of the streams that are not empty.
    """

    features: Tensor
    labels: Tensor
    mask: Tensor
    reset: Tensor
    encoded: dict[str, Tensor]
    utterance_ids: list[str]


class _Stream:
    """One stream's place: the utterance it reads and the step it has come to."""

    def __init__(self, examples: Iterator[Example], delay: int) -> None:
        self.examples = examples
        self.delay = delay
        self.example: Example | None = None
        self.step = 0

    def advance(self) -> bool:
        """Go to the next utterance if this one is over and there is one; True where an utterance begins."""
        if self.example is None or self.step >= len(self.example) + self.delay:
            self.example = next(self.examples, None)
            self.step = 0
        return self.step == 0


def pack(examples: Iterable[Example], streams: int, chunk_frames: int, delay: int) -> Iterator[Batch]:
    """All examples as batches; the last ones of an epoch have empty streams."""
    source = iter(examples)
    lanes = [_Stream(source, delay) for _ in range(streams)]
    while True:
        reset = torch.tensor([lane.advance() for lane in lanes])
        filled = [(lane, number) for number, lane in enumerate(lanes) if lane.example is not None]
        if not filled:
            return
        yield _batch(filled, reset, chunk_frames, delay)


def _batch(filled: list[tuple[_Stream, int]], reset: Tensor, chunk_frames: int, delay: int) -> Batch:
    shape = (chunk_frames, len(reset))
    model = filled[0][0].example
    assert model is not None
    features = model.features.new_zeros(*shape, model.features.shape[1])
    labels = model.labels.new_zeros(shape)
    mask = torch.zeros(shape, dtype=torch.bool)
    plain = {name: rows for name, rows in model.encoded.items() if name not in OVERFLOW}
    encoded = {name: rows.new_zeros(*shape, *rows.shape[1:]) for name, rows in plain.items()}
    overflow: list[dict[str, Tensor]] = []
    for lane, number in filled:
        example = lane.example
        assert example is not None
        start, stop = lane.step, min(lane.step + chunk_frames, len(example) + delay)
        heard = max(min(stop, len(example)) - start, 0)
        features[:heard, number] = example.features[start : start + heard]
        features[heard : stop - start, number] = example.features[-1]
        first = max(start, delay)
        steps, frames = slice(first - start, stop - start), slice(first - delay, stop - delay)
        if first < stop:
            labels[steps, number] = example.labels[frames]
            mask[steps, number] = True
            taught = span(example.encoded, frames.start, frames.stop)
            for name, rows in encoded.items():
                rows[steps, number] = taught[name]
            if OVERFLOW_FRAMES in taught:
                # Frame f of this span is step steps.start + f of stream `number`.
                places = (taught[OVERFLOW_FRAMES] + steps.start) * len(reset) + number
                overflow.append({name: taught[name] for name in OVERFLOW} | {OVERFLOW_FRAMES: places})
        lane.step = stop
    flat = {name: rows.flatten(0, 1) for name, rows in encoded.items()}
    if overflow:
        flat |= {name: torch.cat([part[name] for part in overflow]) for name in OVERFLOW}
    utterance_ids = [lane.example.utterance_id for lane, _ in filled if lane.example is not None]
    return Batch(features, labels, mask, reset, flat, utterance_ids)
