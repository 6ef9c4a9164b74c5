"""`softstore generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
from softstore.commands.filling import frames_bar, sentence
from softstore.commands.info import print_info
from softstore.corpus import Corpus
from softstore.format import CHUNK_FRAMES, SHARD_FRAMES
from softstore.generate import generate as run
from softstore.storage import open_storage
from softstore.store import open_store
from softstore.teacher import load_teacher


def generate(
    corpus: Annotated[str, typer.Argument(help="Corpus to run the teacher over: a path or URL.")],
    teacher: Annotated[Path, typer.Option(help="Directory of a trained teacher.")],
    store: Annotated[str, typer.Option(help="Where the store is, or is to be: a path or s3:// URL.")],
    codec: CodecOption = CodecName.TRANSFORM,
    max_mean_kl: MaxMeanKlOption = None,
    max_kl: MaxKlOption = None,
    step: StepOption = None,
    rank: RankOption = None,
    k: KOption = None,
    shard_frames: Annotated[int, typer.Option(min=1, help="Frames in one shard.")] = SHARD_FRAMES,
    chunk_frames: Annotated[int, typer.Option(min=1, help="Frames in one chunk of a shard.")] = CHUNK_FRAMES,
) -> None:
    """Run a teacher over a corpus and store its posteriors, with their certificate.

    Run it again and nothing is computed twice: finished shards stay, an interrupted run carries on, and
    new utterances of the corpus are added. What was stored is decoded on the spot, and its divergence from
    the teacher (KL in nats, at T = 1, 2, 4, 8) is written beside every utterance.

        softstore generate runs/demo/corpus --teacher runs/demo/teacher --store runs/demo/store
    """
    console = Console()
    source = Corpus.open(corpus)
    chosen = chosen_codec(codec, k=k, max_mean_kl=max_mean_kl, max_kl=max_kl, step=step, rank=rank)
    with frames_bar("Generating", console) as show:
        summary = run(
            source,
            load_teacher(teacher),
            open_storage(store, writable=True),
            chosen,
            shard_frames=shard_frames,
            chunk_frames=chunk_frames,
            progress=show,
        )
    console.print(sentence(summary), highlight=False)
    print_info(open_store(store), console)
