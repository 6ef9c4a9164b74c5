"""`softstore generate`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from softstore.cluster import DaskCrew, Job
from softstore.commands.codec_options import (
    CodecName,
    CodecOption,
    KOption,
    MaxKlOption,
    MaxMeanKlOption,
    RankOption,
    StepOption,
    chosen_codec,
)
from softstore.commands.info import print_info
from softstore.commands.reporting import ProgressMode, ProgressOption, reporting, sentence
from softstore.corpus import Corpus
from softstore.errors import InvalidInputError
from softstore.filling import Crew
from softstore.format import CHUNK_FRAMES, SHARD_FRAMES
from softstore.generate import batch_frames
from softstore.generate import generate as run
from softstore.metrics import MetricsPortOption, serving_metrics
from softstore.progress import together
from softstore.shard_maker import OnError
from softstore.storage import open_storage
from softstore.store import open_store
from softstore.teacher import everywhere, load_teacher

SOME_SKIPPED = 3


def generate(
    corpus: Annotated[str, typer.Argument(help="Corpus to run the teacher over: a path or URL.")],
    teacher: Annotated[
        str,
        typer.Option(
            help="Directory of a trained teacher, package.module:factory, an exported program (.pt2), or "
            "stored matrices (ark:… or scp:…)."
        ),
    ],
    store: Annotated[str, typer.Option(help="Where the store is, or is to be: a path or s3:// URL.")],
    codec: CodecOption = CodecName.TRANSFORM,
    max_mean_kl: MaxMeanKlOption = None,
    max_kl: MaxKlOption = None,
    step: StepOption = None,
    rank: RankOption = None,
    k: KOption = None,
    shard_frames: Annotated[int, typer.Option(min=1, help="Frames in one shard.")] = SHARD_FRAMES,
    chunk_frames: Annotated[int, typer.Option(min=1, help="Frames in one chunk of a shard.")] = CHUNK_FRAMES,
    device: Annotated[str, typer.Option(help="What the teacher runs on: cpu, cuda, cuda:1, …")] = "cpu",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Make the shards in so many processes of a local Dask cluster.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Make them on the workers of this Dask scheduler: tcp://host:port.")
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(
            help="stop: end with the first utterance that cannot be stored; skip: leave it out, list it."
        ),
    ] = OnError.STOP,
    show: ProgressOption = ProgressMode.BAR,
    metrics_port: MetricsPortOption = None,
) -> None:
    """Run a teacher over a corpus and store its posteriors, with their certificate.

    Run it again and nothing is computed twice: finished shards stay, an interrupted run carries on, and
    new utterances of the corpus are added. What was stored is decoded on the spot, and its divergence from
    the teacher (KL in nats, at T = 1, 2, 4, 8) is written beside every utterance.

    Several runs over the same corpus may fill one store at the same time. With --workers or --scheduler, a
    Dask cluster makes the shards: its workers read the corpus and write the store themselves, so both must be
    where all can reach them.

    Exit code: 0 if all is stored, 2 if it could not be, 3 if utterances were skipped, 130 or 143 if stopped
    by a signal; then, too, run it again to go on.

        softstore generate runs/demo/corpus --teacher runs/demo/teacher --store runs/demo/store
        softstore generate s3://speech/corpus --teacher teachers.conformer:load --store s3://speech/soft \\
            --scheduler tcp://10.0.0.1:8786 --on-error skip
    """
    console = Console()
    if workers is not None and scheduler is not None:
        raise InvalidInputError("--workers starts a cluster, --scheduler uses one that is there: give one.")
    chosen = chosen_codec(codec, k=k, max_mean_kl=max_mean_kl, max_kl=max_kl, step=step, rank=rank)
    source = Corpus.open(corpus)
    loaded = load_teacher(teacher, device=device)
    place = open_storage(store, writable=True)
    with ExitStack() as stack, _stopped_by_signals():
        progress = together(
            stack.enter_context(reporting("Generating", console, mode=show)),
            stack.enter_context(serving_metrics(metrics_port)),
        )
        crew: Crew | None = None
        if workers is not None or scheduler is not None:
            job = Job(
                source.url,
                place.url,
                everywhere(teacher),
                loaded.fingerprint,
                device,
                batch_frames(device),
                on_error,
            )
            crew = stack.enter_context(DaskCrew(job, workers=workers, scheduler=scheduler))
        summary = run(
            source,
            loaded,
            place,
            chosen,
            shard_frames=shard_frames,
            chunk_frames=chunk_frames,
            device=device,
            crew=crew,
            on_error=on_error,
            command=sys.argv,
            progress=progress,
        )
    console.print(sentence(summary), highlight=False, soft_wrap=True)
    print_info(open_store(store), console)
    if summary.skipped:
        raise typer.Exit(SOME_SKIPPED)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM end the run in order: nothing is left behind but whole shards."""

    def stop(number: int, frame: FrameType | None) -> None:
        # Once is enough: the second time it shall end at once.
        signal.signal(number, signal.SIG_DFL)
        raise _StoppedError(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _StoppedError as stopped:
        Console(stderr=True).print("Stopped. What is finished stays: run the same command again to go on.")
        raise typer.Exit(128 + stopped.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StoppedError(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
