"""Utterances side by side in streams: batches for (truncated) back-propagation through time.

Each of S streams reads one utterance after another, T frames a batch. A network's state is carried from
batch to batch within an utterance and reset where a stream begins a new one; a stream whose utterance ends
inside a batch is padded to its end, as in Kaldi. Outputs come ``delay`` frames late: step t of an utterance
reads frame t, past the end its last frame again, and is asked for the label of frame t - delay, so that
every frame has an output and a target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from softstore.codecs.stored import Cut, join
from trainer.examples import Example


@dataclass(frozen=True, slots=True)
class Batch:
    """T steps of S streams.

    Attributes:
        features: (T, S, dimensions), float32; zero in padding.
        labels: (T, S), int64, already delayed.
        mask: (T, S), bool: the steps that have a target.
        rows: (T, S), int64: which of the encoded frames is the target; 0 without one.
        reset: (S,), bool: the streams that begin an utterance here, or have none.
        encoded: the teacher's frames as the codec stores them, in whole blocks, see
            `softstore.codecs.stored`; empty without targets.
        utterance_ids: of the streams that are not empty.
    """

    features: Tensor
    labels: Tensor
    mask: Tensor
    rows: Tensor
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
            rows=change(self.rows),
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
    parts: Sequence[Part],
    nothing: Example,
    batches: int,
    steps: int,
    streams: int,
    delay: int,
    block_frames: int,
) -> list[Batch]:
    """Batches that follow each other, packed at once: they are views of the same memory.

    Args:
        parts: all utterances that reach into them, by rising stream.
        nothing: an utterance without frames, for what features and encoded frames look like.
        steps, streams: of each batch.
        block_frames: encoded frames come in blocks of so many.
    """
    shape = (batches * steps, streams)
    features = np.zeros((*shape, nothing.features.shape[1]), np.float32)
    labels = np.zeros(shape, np.int64)
    mask = np.zeros(shape, np.bool_)
    rows = np.zeros(shape, np.int64)
    reset = np.ones((batches, streams), np.bool_)
    cuts: list[list[Cut]] = [[] for _ in range(batches)]
    encoded_rows = [0] * batches
    utterance_ids: list[list[str]] = [[] for _ in range(batches)]
    for part in parts:
        example, stream = part.example, part.stream
        heard_frames = example.features.numpy()
        # Its steps start … stop come here, the first of them at row `row`.
        row, start = max(part.begin, 0) * steps, max(-part.begin, 0) * steps
        stop = min(len(example) + delay, start + batches * steps - row)
        end = row + stop - start
        heard = row + max(min(stop, len(example)) - start, 0)
        features[row:heard, stream] = heard_frames[start : start + heard - row]
        features[heard:end, stream] = heard_frames[-1]
        filled = range(row // steps, -(-end // steps))
        reset[filled.start + (part.begin >= 0) : filled.stop, stream] = False
        for number in filled:
            utterance_ids[number].append(example.utterance_id)
        # Frame t is asked for at row t + late.
        late = row - start + delay
        asked = max(row, late)
        if asked >= end:
            continue
        labels[asked:end, stream] = example.labels.numpy()[asked - late : end - late]
        mask[asked:end, stream] = True
        if not example.encoded:
            continue
        shifts, counts = [], []
        for number in range(asked // steps, filled.stop):
            first, last = max(asked, number * steps) - late, min(end, (number + 1) * steps) - late
            begin, behind = first // block_frames * block_frames, -(-last // block_frames) * block_frames
            cuts[number].append((example.encoded, begin, behind))
            shifts.append(encoded_rows[number] - begin)
            counts.append(last - first)
            encoded_rows[number] += behind - begin
        rows[asked:end, stream] = np.arange(asked - late, end - late) + np.repeat(shifts, counts)
    packed = []
    for number in range(batches):
        here = slice(number * steps, (number + 1) * steps)
        encoded = join(cuts[number] or [(nothing.encoded, 0, 0)])
        packed.append(
            Batch(
                features=torch.from_numpy(features[here]),
                labels=torch.from_numpy(labels[here]),
                mask=torch.from_numpy(mask[here]),
                rows=torch.from_numpy(rows[here]),
                reset=torch.from_numpy(reset[number]),
                encoded={name: torch.from_numpy(array) for name, array in encoded.items()},
                utterance_ids=utterance_ids[number],
            )
        )
    return packed
