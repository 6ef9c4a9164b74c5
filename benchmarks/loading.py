"""Training batches from a store, against the same utterances in what others train from.

Everybody delivers batches of the same shape, with features, labels and a teacher's log-posteriors of 2008
classes, for every frame once, in an order that changes from epoch to epoch: we from the default codec, still
encoded; the others as float16 or by lilcom, each read the way its documentation tells for shuffled training,
by this process and by two workers of theirs, and packed into the streams by the code that packs ours. What
they hold is what our store decodes to. Files are in the page cache.

Encoded frames are softened where the student is. On a CPU that costs more than delivery: the last column has
batches whose soft targets are ready for the loss.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from torch import Tensor

import softstore
from benchmarks.distilled import distilled
from benchmarks.harness import JsonOption, QuickOption, Row, Target, alternating, median_ratio, report
from benchmarks.loaders import peers
from benchmarks.loaders.peer import Spoken
from benchmarks.posteriors import WORK, WorkOption
from benchmarks.stream_packing import packed
from trainer.examples import Example, Examples, open_examples
from trainer.loading import StreamBatches
from trainer.streams import Batch

OURS = "softstore, transform"
STREAMS, STEPS, DELAY = 32, 20, 5
TEMPERATURE = 2.0
SPLIT = "train"
WORKERS, QUICK_WORKERS = (0, 2), (0,)
ROUNDS = 3
SOFTENED_BATCHES = 50
TIMES_BEST = 2.0


@dataclass(frozen=True, slots=True)
class Contender:
    """Who delivers batches.

    Attributes:
        name: ours, or a peer's.
        workers: processes beside this one.
        bytes_per_frame: on disk.
        batches: starts an epoch.
        soften: encoded frames, and which of them are wanted → log p_T at `TEMPERATURE`.
    """

    name: str
    workers: int
    bytes_per_frame: float
    batches: Callable[[], Iterable[Batch]]
    soften: Callable[[Mapping[str, Tensor], Tensor], Tensor]

    @property
    def full_name(self) -> str:
        return f"{self.name}, {self.workers} workers"


def ours(examples: Examples, batches: StreamBatches, directory: Path) -> Contender:
    def soften(encoded: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        softener = examples.softener(encoded, rows)
        assert softener is not None
        return softener(TEMPERATURE)

    frames = examples.frames.manifest.frames
    return Contender(OURS, 0, bytes_on_disk(directory) / frames, lambda: batches, soften)


def theirs(
    utterances: Sequence[Spoken], block: int, work: Path, counts: Sequence[int]
) -> Iterator[Contender]:
    """Every peer that is installed, written below ``work``, with so many workers each."""
    frames = sum(len(utterance.labels) for utterance in utterances)
    one = utterances[0]
    nothing = _example({name: rows[:0] for name, rows in one.arrays().items()})
    for peer in peers():
        directory = work / peer.name
        directory.mkdir()
        peer.write(utterances, directory)
        for workers in counts:
            read = peer.read(directory, workers)
            start = partial(_packed, read, nothing, block)
            yield Contender(peer.name, workers, bytes_on_disk(directory) / frames, start, _soften)


def _packed(read: Iterable[Mapping[str, Any]], nothing: Example, block: int) -> Iterator[Batch]:
    examples = map(_example, read)
    return packed(examples, nothing, streams=STREAMS, steps=STEPS, delay=DELAY, block=block)


def _example(arrays: Mapping[str, Any]) -> Example:
    features, labels, rows = (
        torch.as_tensor(arrays[name]) for name in ("features", "labels", "log_posteriors")
    )
    encoded = {"log_posteriors": rows.numpy()}
    return Example("", features.to(torch.float32), labels.to(torch.int64), encoded)


def _soften(encoded: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    return torch.log_softmax(encoded["log_posteriors"][rows].float().div_(TEMPERATURE), dim=-1)


def bytes_on_disk(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def spoken(store: softstore.Store) -> list[Spoken]:
    """What the store decodes to."""
    return [
        Spoken(
            utterance.utterance_id,
            utterance.features().astype(np.float16),
            utterance.labels().astype(np.uint16),
            utterance.log_posteriors().astype(np.float16),
        )
        for utterance in store.scan(split=SPLIT)
    ]


def deliver(contender: Contender) -> None:
    """An epoch, every batch let go as it comes."""
    for _ in contender.batches():
        pass


def softened_per_second(contender: Contender) -> float:
    """Frames of the first batches, with their soft targets."""
    frames = 0
    started = time.perf_counter()
    for batch in islice(contender.batches(), SOFTENED_BATCHES):
        frames += len(contender.soften(batch.encoded, batch.rows[batch.mask]))
    return frames / (time.perf_counter() - started)


def check(contender: Contender, frames: int) -> None:
    """Raises `RuntimeError` if an epoch has not every frame once."""
    delivered = sum(int(batch.mask.sum()) for batch in contender.batches())
    if delivered != frames:
        raise RuntimeError(f"{contender.full_name} delivered {delivered} frames of {frames}.")


def main(json: JsonOption = None, quick: QuickOption = False, work: WorkOption = WORK) -> None:
    """Frames per second delivered as training batches, and bytes per frame, of every contender."""
    material = distilled(work, quick)
    examples = open_examples(material.store)
    frames = examples.num_frames(SPLIT)
    batches = StreamBatches(
        examples, SPLIT, streams=STREAMS, chunk_frames=STEPS, delay=DELAY, seed=0, targets=True
    )
    first = ours(examples, batches, material.store)
    with tempfile.TemporaryDirectory() as directory:
        utterances = spoken(softstore.open(material.store))
        counts = QUICK_WORKERS if quick else WORKERS
        others = theirs(utterances, batches.block(), Path(directory), counts)
        contenders = [first, *others]
        del utterances
        for contender in contenders:
            check(contender, frames)
        runs = {contender.full_name: partial(deliver, contender) for contender in contenders}
        seconds = alternating(runs, 1 if quick else ROUNDS)
        softened = {contender.full_name: softened_per_second(contender) for contender in contenders}
    rows: list[Row] = [
        {
            "contender": contender.name,
            "workers": contender.workers,
            "bytes/frame": contender.bytes_per_frame,
            "frames/s": frames / statistics.median(seconds[contender.full_name]),
            "ours, times as quick": median_ratio(seconds[first.full_name], seconds[contender.full_name]),
            "softened frames/s": softened[contender.full_name],
        }
        for contender in contenders
    ]
    report("loading", rows, targets(rows), json)


def targets(rows: Sequence[Row]) -> list[Target]:
    """What was promised, against the quickest and the smallest peer; nothing where none is installed."""
    mine, others = rows[0], rows[1:]
    if not others:
        return []
    times = min(float(row["ours, times as quick"]) for row in others)
    share = float(mine["bytes/frame"]) / min(float(row["bytes/frame"]) for row in others)
    return [
        Target("delivered frames/s, times the best peer", times, TIMES_BEST, times >= TIMES_BEST),
        Target("bytes, of those of the smallest peer", share, 1, share <= 1),
    ]


if __name__ == "__main__":
    typer.run(main)
