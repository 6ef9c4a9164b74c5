"""Utterances side by side in streams: batches for (truncated) back-propagation through time.

Each of S streams reads one utterance after another, T frames a batch. A network's state is carried from
batch to batch within an utterance and reset where a stream begins a new one; a stream whose utterance ends
inside a batch is padded to its end, as in Kaldi. Outputs come ``delay`` frames late: step t of an utterance
reads frame t, past the end its last frame again, and is asked for the label of frame t - delay, so that
every frame has an output and a target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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
        reset: (S,), bool: the streams that begin an utterance here, or have none.
        encoded: the codec's unpacked frames, rows in the order of ``labels``.
        utterance_ids: of the streams that are not empty.
    """

    features: Tensor
    labels: Tensor
    mask: Tensor
    reset: Tensor
    encoded: dict[str, Tensor]
    utterance_ids: list[str]

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from where a GPU fetches it while other work goes on."""
        return self._with(Tensor.pin_memory)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same on a device; the arguments are those of `torch.Tensor.to`."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            features=change(self.features),
            labels=change(self.labels),
            mask=change(self.mask),
            reset=change(self.reset),
            encoded={name: change(rows) for name, rows in self.encoded.items()},
        )


@dataclass(frozen=True, slots=True)
class Part:
    """An utterance in a stream.

    Attributes:
        begin: the batch in which it begins, counted from the first that is packed; below 0: before that.
    """

    example: Example
    stream: int
    begin: int


def pack(
    parts: Sequence[Part], nothing: Example, batches: int, steps: int, streams: int, delay: int
) -> list[Batch]:
    """Batches that follow each other, packed at once: they are views of the same memory.

    Args:
        parts: all utterances that reach into them, by rising stream.
        nothing: an utterance without frames, for what features and encoded frames look like.
        steps, streams: of each batch.
    """
    shape = (batches * steps, streams)
    features = nothing.features.new_zeros(*shape, nothing.features.shape[1])
    labels = nothing.labels.new_zeros(shape)
    mask = torch.zeros(shape, dtype=torch.bool)
    reset = torch.ones(batches, streams, dtype=torch.bool)
    encoded = {name: rows.new_zeros(*shape, *rows.shape[1:]) for name, rows in nothing.encoded.items()}
    overflow: list[dict[str, Tensor]] = []
    utterance_ids: list[list[str]] = [[] for _ in range(batches)]
    for part in parts:
        example, stream = part.example, part.stream
        # Its steps start … stop come here, the first of them at row `row`.
        row, start = max(part.begin, 0) * steps, max(-part.begin, 0) * steps
        stop = min(len(example) + delay, start + batches * steps - row)
        end = row + stop - start
        heard = row + max(min(stop, len(example)) - start, 0)
        features[row:heard, stream] = example.features[start : start + heard - row]
        features[heard:end, stream] = example.features[-1]
        first = max(start, delay)
        if first < stop:
            asked, frames = slice(row + first - start, end), slice(first - delay, stop - delay)
            labels[asked, stream] = example.labels[frames]
            mask[asked, stream] = True
            for name, rows in encoded.items():
                rows[asked, stream] = example.encoded[name][frames]
            if OVERFLOW_FRAMES in example.encoded:
                overflow.append(_overflow(example.encoded, frames, asked.start * streams + stream, streams))
        filled = range(row // steps, -(-end // steps))
        reset[filled.start + (part.begin >= 0) : filled.stop, stream] = False
        for number in filled:
            utterance_ids[number].append(example.utterance_id)
    flat = {name: rows.flatten(0, 1) for name, rows in encoded.items()} | _joined(overflow)
    packed = []
    for number in range(batches):
        here = slice(number * steps, (number + 1) * steps)
        taught = span(flat, here.start * streams, here.stop * streams)
        packed.append(
            Batch(features[here], labels[here], mask[here], reset[number], taught, utterance_ids[number])
        )
    return packed


def _overflow(encoded: Mapping[str, Tensor], frames: slice, first: int, stride: int) -> dict[str, Tensor]:
    """The exact values of some frames, which come to lie in row ``first`` and every ``stride`` from there."""
    taken = span({name: encoded[name] for name in OVERFLOW}, frames.start, frames.stop)
    if taken:
        taken[OVERFLOW_FRAMES] = taken[OVERFLOW_FRAMES] * stride + first
    return taken


def _joined(overflow: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    there = [taken for taken in overflow if taken]
    return {name: torch.cat([taken[name] for taken in there]) for name in OVERFLOW} if there else {}
