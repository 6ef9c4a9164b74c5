"""`softstore corpus make` and `softstore corpus info`."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from softstore.commands.info import info as store_info
from softstore.commands.info import print_info
from softstore.corpus import Corpus
from softstore.errors import InvalidInputError
from softstore.storage import open_storage
from trainer.corpora.an4 import An4Source
from trainer.corpora.build import build, is_complete
from trainer.corpora.source import Source
from trainer.corpora.synthetic import SyntheticSource

corpus = typer.Typer(no_args_is_help=True, help="Make a corpus, or look at one.")


class SourceName(StrEnum):
    """Where speech comes from."""

    SYNTHETIC = "synthetic"
    AN4 = "an4"


class Profile(StrEnum):
    """Sizes of the synthetic corpus."""

    TINY = "tiny"
    MINI = "mini"
    SMALL = "small"
    AURORA4 = "aurora4"


@corpus.command()
def make(
    source: Annotated[SourceName, typer.Argument(help="Where the speech comes from.")],
    out: Annotated[str, typer.Option(help="Where the corpus is to be: a path or s3:// URL.")],
    data: Annotated[Path | None, typer.Option(help="an4: the directory with etc/ and wav/.")] = None,
    profile: Annotated[Profile, typer.Option(help="synthetic: how much to make.")] = Profile.MINI,
    seed: Annotated[int, typer.Option(min=0, help="synthetic: the same seed gives the same corpus.")] = 0,
    senones: Annotated[int, typer.Option(min=2, max=65_536, help="Tied triphone states to aim at.")] = 2008,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Make a corpus: 40 log-mel features every 10 ms, a senone label for each frame, text and speaker.

    **synthetic** speaks sentences with espeak-ng in many voices, noises and microphones; nothing is
    downloaded. **an4** reads CMU AN4 from a local directory in its published layout and aligns it with a
    GMM-HMM trained from a flat start. Utterances that cannot be used are listed with the reason, here and in
    the corpus.

        softstore corpus make synthetic --profile mini --out runs/demo/corpus
        softstore corpus make an4 --data ~/an4 --out runs/an4/corpus
    """
    console = Console()
    made_from = _source(source, data, profile, seed)
    storage = open_storage(out, writable=True)
    if is_complete(storage, made_from, senones):
        console.print(f"Nothing to do: {escape(out)} is finished.", highlight=False)
    else:
        # The aligner tells of its passes in the log: all of them come before its first utterance.
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_log_handler(console)])
        with _bar(console) as bar:
            tasks: dict[str, TaskID] = {}

            def show(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage, total=total)
                bar.update(tasks[stage], completed=done, total=total)

            build(made_from, storage, senones=senones, workers=workers, progress=show)
    _print(Corpus.open(out), console)


@corpus.command()
def info(
    url: Annotated[str, typer.Argument(help="Corpus: a path or URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a corpus holds: hours, speakers, senones and their frames, and what was left out and why.

    softstore corpus info runs/demo/corpus
    """
    if as_json:
        store_info(url, as_json=True)
    else:
        _print(Corpus.open(url), Console())


def _source(source: SourceName, data: Path | None, profile: Profile, seed: int) -> Source:
    if source is SourceName.SYNTHETIC:
        return SyntheticSource(profile.value, seed)
    if data is None:
        raise InvalidInputError(
            f"The {source.value} corpus is read from a local directory: name it with --data."
        )
    return An4Source(data)


def _log_handler(console: Console) -> logging.Handler:
    return RichHandler(console=console, show_time=False, show_level=False, show_path=False)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _print(opened: Corpus, console: Console) -> None:
    print_info(opened, console)
    described = opened.attributes.corpus
    wanted = described.get("senones_wanted", opened.class_count)
    if opened.class_count < wanted:
        console.print(
            f"[yellow]{wanted:,} senones were asked for; the data supports {opened.class_count:,}.[/]",
            highlight=False,
        )
    frames = np.zeros(opened.class_count, np.int64)
    for utterance in opened.scan(split="train"):
        frames += np.bincount(utterance.labels(), minlength=opened.class_count)
    console.print(
        f"Senones: {opened.class_count:,}; training frames of each: "
        f"{frames.min():,} at least, {np.median(frames):,.0f} in the middle, {frames.max():,} at most.",
        highlight=False,
    )
    rejected = described.get("rejected", [])
    console.print(f"Left out: {len(rejected)} utterances.", highlight=False)
    for entry in rejected:
        console.print(f"  {entry['utterance_id']}: {entry['reason']}", highlight=False, markup=False)
