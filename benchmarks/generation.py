"""What a store costs on top of the teacher: generation against inference whose result is thrown away.

A teacher of the paper's size (4 × 2048 rectified linear units, 2008 senones) over half an hour of speech.
Both sides read the same features and ask the same teacher for normalised log-posteriors, on the same device,
in the same batches and threads; generation encodes, certifies and publishes besides, with the default codec,
which is fitted before.
Then the same by workers of a local Dask cluster, each run's own start left out.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer

from benchmarks.harness import JsonOption, QuickOption, Row, Target, alternating, report
from benchmarks.posteriors import QUICK, WORK, WorkOption, corpus_and_teacher
from softstore import Corpus, Fidelity
from softstore.cluster import DaskCrew, Job
from softstore.codecs import Codec
from softstore.generate import batch_frames, generate
from softstore.inference import Inference
from softstore.processors import usable_processors
from softstore.progress import Phase, Standing, silent
from softstore.reading_ahead import read_ahead
from softstore.sampling import take_sample
from softstore.shard_maker import OnError
from softstore.storage import open_storage
from softstore.teacher import Teacher, load_teacher
from softstore.utterance import Utterance
from trainer.config import TeacherConfig
from trainer.optimizers import SGDConfig
from trainer.schedule import NewbobConfig

PAPER = TeacherConfig(epochs=2, optimizer=SGDConfig(0.1), schedule=NewbobConfig(keep_epochs=1))
SHARD_FRAMES, QUICK_SHARD_FRAMES = 8192, 1024
CPU_TARGET, GPU_TARGET = 0.15, 0.10


def bare(source: Inference, threads: int) -> None:
    """Log-posteriors of all utterances, as a training loop would want them, and nothing else."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in read_ahead(source.log_posteriors_of, _batches(source), threads, 2 * threads):
            pass
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    finally:
        torch.set_num_threads(before)


def _batches(source: Inference) -> list[list[Utterance]]:
    batches: list[list[Utterance]] = [[]]
    for utterance in source.collection.scan():
        frames = sum(waiting.num_frames for waiting in batches[-1]) + utterance.num_frames
        if batches[-1] and frames > source.batch_frames:
            batches.append([])
        batches[-1].append(utterance)
    return batches


def stored(corpus: Corpus, teacher: Teacher, codec: Codec, place: Path, device: str, **how: Any) -> None:
    """A new store, in place of the one that lies there."""
    shutil.rmtree(place, ignore_errors=True)
    generate(corpus, teacher, open_storage(place, writable=True), codec, device=device, **how)


def by_workers(
    corpus: Corpus, teacher: Teacher, codec: Codec, place: Path, workers: int, shard_frames: int
) -> float:
    """Frames per second of a cluster at work: from its first shard on."""
    published: list[tuple[float, int]] = []

    def watch(standing: Standing) -> None:
        if standing.phase is Phase.RUNNING and standing.shards > len(published):
            published.append((time.perf_counter(), standing.frames))

    shutil.rmtree(place, ignore_errors=True)
    storage = open_storage(place, writable=True)
    url = str(Path(corpus.url).parent / "teacher")
    job = Job(corpus.url, storage.url, url, teacher.fingerprint, "cpu", batch_frames("cpu"), OnError.STOP)
    with DaskCrew(job, workers=workers) as crew:
        # Shards of a few utterances: there must be several for each worker.
        generate(corpus, teacher, storage, codec, shard_frames=shard_frames, crew=crew, progress=watch)
    (first, before), (last, after) = published[0], published[-1]
    return (after - before) / (last - first)


def compare(
    corpus: Corpus, teacher: Teacher, device: str, place: Path, rounds: int
) -> tuple[list[Row], float]:
    """Rows of both sides on one device, and how much longer generation takes."""
    source = Inference(corpus, teacher, batch_frames(device))
    codec = Fidelity().fit(take_sample(source))
    cores = usable_processors()
    contenders: dict[str, Callable[[], object]] = {
        "inference alone": partial(bare, source, cores),
        "softstore generate": partial(stored, corpus, teacher, codec, place, device, progress=silent),
    }
    seconds = alternating(contenders, rounds)
    pairs = zip(seconds["softstore generate"], seconds["inference alone"], strict=True)
    overhead = statistics.median(ours / theirs for ours, theirs in pairs) - 1
    frames = corpus.manifest.frames
    rows: list[Row] = [
        {
            "device": device,
            "contender": name,
            "frames/s": frames / statistics.median(taken),
            "overhead %": 100 * overhead if name.startswith("softstore") else 0.0,
        }
        for name, taken in seconds.items()
    ]
    return rows, overhead


def main(json: JsonOption = None, quick: QuickOption = False, work: WorkOption = WORK) -> None:
    """Frames per second of the teacher alone, of generation, and of one and two workers."""
    place = work / ("generation-quick" if quick else "generation")
    profile, config = ("tiny", QUICK) if quick else ("mini", PAPER)
    corpus, teacher = corpus_and_teacher(place, profile, config)
    rounds = 1 if quick else 3
    rows, overhead = compare(corpus, teacher, "cpu", place / "store", rounds)
    targets = [Target("overhead of generation on a CPU", overhead, CPU_TARGET, overhead <= CPU_TARGET)]
    if torch.cuda.is_available():
        on_gpu = load_teacher(place / "teacher", device="cuda")
        found, overhead = compare(corpus, on_gpu, "cuda", place / "store", rounds)
        rows += found
        targets.append(Target("the same on a GPU", overhead, GPU_TARGET, overhead <= GPU_TARGET))
    codec = Fidelity().fit(take_sample(Inference(corpus, teacher)))
    shard_frames = QUICK_SHARD_FRAMES if quick else SHARD_FRAMES
    speeds = {
        workers: by_workers(corpus, teacher, codec, place / "store", workers, shard_frames)
        for workers in ((2,) if quick else (1, 2))
    }
    for workers, speed in speeds.items():
        rows.append(
            {"device": "cpu", "contender": f"--workers {workers}", "frames/s": speed, "overhead %": 0.0}
        )
    shutil.rmtree(place / "store", ignore_errors=True)
    report("generation", rows, targets, json)


if __name__ == "__main__":
    typer.run(main)
