"""`softstore recode`."""

from __future__ import annotations

import sys
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
from softstore.commands.info import print_info
from softstore.commands.reporting import ProgressMode, ProgressOption, reporting, sentence
from softstore.commands.token_option import TokenOption
from softstore.recode import recode as run
from softstore.storage import open_storage
from softstore.store import open_store


def recode(
    source: Annotated[str, typer.Argument(help="Store to recode: a path or URL.")],
    destination: Annotated[
        str, typer.Argument(help="Where the new store is, or is to be: a path or s3:// URL.")
    ],
    codec: CodecOption = CodecName.TRANSFORM,
    max_mean_kl: MaxMeanKlOption = None,
    max_kl: MaxKlOption = None,
    step: StepOption = None,
    rank: RankOption = None,
    k: KOption = None,
    shard_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames in one shard. [default: as the source]")
    ] = None,
    chunk_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames in one chunk of a shard. [default: as the source]")
    ] = None,
    token: TokenOption = None,
    show: ProgressOption = ProgressMode.BAR,
) -> None:
    """Store a store's posteriors in another way, with another codec or bound, without the teacher.

    Bounds and certificate of the new store (KL in nats, at T = 1, 2, 4, 8) are against what the old one
    decodes to: what that had lost already stays lost, and `softstore info` shows both. Run it again and it
    goes on where it was stopped, or adds what is new.

        softstore recode runs/demo/store runs/demo/small --max-mean-kl 0.05
        softstore recode https://host/v1/stores/demo/objects here/demo --codec uint8
    """
    console = Console()
    chosen = chosen_codec(codec, k=k, max_mean_kl=max_mean_kl, max_kl=max_kl, step=step, rank=rank)
    opened = open_store(source, token=token)
    if not opened.codec.full_support:
        console.print(
            f"[yellow]A {opened.codec.name} store is taken as it decodes at T = 1, its tail spread evenly: "
            "at other temperatures the new store keeps, and is certified against, that softened.[/]",
            soft_wrap=True,
        )
    with reporting("Recoding", console, mode=show) as progress:
        summary = run(
            opened,
            open_storage(destination, writable=True),
            chosen,
            shard_frames=shard_frames,
            chunk_frames=chunk_frames,
            command=sys.argv,
            progress=progress,
        )
    console.print(sentence(summary), highlight=False, soft_wrap=True)
    print_info(open_store(destination), console)
