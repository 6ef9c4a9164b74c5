"""Utterances as they come → batches of streams, such as `trainer.loading.StreamBatches` makes of its plan."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.examples import Example
from trainer.streams import Batch, Part, pack


def packed(
    examples: Iterator[Example], nothing: Example, *, streams: int, steps: int, delay: int, block: int
) -> Iterator[Batch]:
    """Each utterance goes to the stream that is free first.

    Args:
        nothing: an utterance without frames, see `trainer.streams.pack`.
        streams, steps: of each batch.
        block: how many batches are put together at once.
    """
    free = [0] * streams
    parts: list[Part] = []
    first = 0
    while True:
        while min(free) < first + block and (example := next(examples, None)) is not None:
            stream = free.index(min(free))
            parts.append(Part(example, stream, free[stream]))
            free[stream] = _end(parts[-1], steps, delay)
        last = min(first + block, max(free))
        if last == first:
            return
        parts.sort(key=lambda part: part.stream)
        moved = [Part(part.example, part.stream, part.begin - first) for part in parts]
        yield from pack(moved, nothing, last - first, steps, streams, delay, block_frames=1)
        parts = [part for part in parts if _end(part, steps, delay) > last]
        first = last


def _end(part: Part, steps: int, delay: int) -> int:
    """The first batch that it is no longer in."""
    return part.begin - -(len(part.example) + delay) // steps
