"""`softstore corpus make` and `softstore corpus info`."""

from __future__ import annotations

import json
import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from softstore.corpus import Corpus
from softstore.errors import InvalidInputError
from softstore.storage import open_storage
from trainer.commands.corpus_kaldi import imports
from trainer.commands.corpus_report import describe_corpus, print_corpus
from trainer.commands.stages import stages
from trainer.corpora.an4 import An4Source
from trainer.corpora.build import build, is_complete
from trainer.corpora.source import Source
from trainer.corpora.speechocean762 import MIN_AGE, Speechocean762Source
from trainer.corpora.synthetic import SyntheticSource

corpus = typer.Typer(no_args_is_help=True, help="Make a corpus, or look at one.")
corpus.add_typer(imports)


class SourceName(StrEnum):
    """Where speech comes from."""

    SYNTHETIC = "synthetic"
    AN4 = "an4"
    SPEECHOCEAN762 = "speechocean762"


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
    data: Annotated[
        Path | None, typer.Option(help="an4, speechocean762: the directory, laid out as published.")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="synthetic: how much to make.")] = Profile.MINI,
    seed: Annotated[int, typer.Option(min=0, help="synthetic: the same seed gives the same corpus.")] = 0,
    min_age: Annotated[
        int, typer.Option(min=0, help="speechocean762: leave out younger speakers; years.")
    ] = MIN_AGE,
    senones: Annotated[int, typer.Option(min=2, max=65_536, help="Tied triphone states to aim at.")] = 2008,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Make a corpus: 40 log-mel features every 10 ms, a senone label for each frame, text and speaker.

    **synthetic** speaks sentences with espeak-ng in many voices, noises and microphones; nothing is
    downloaded. **an4** (CMU AN4) and **speechocean762** are read from a local directory in their published
    layout and aligned with a GMM-HMM trained from a flat start; where the published test part is absent,
    speakers for it are cut from the train part. Utterances that cannot be used are listed with the reason,
    here and in the corpus.

        softstore corpus make synthetic --profile mini --out runs/demo/corpus
        softstore corpus make an4 --data ~/an4 --out runs/an4/corpus
        softstore corpus make speechocean762 --data ~/speechocean762 --out runs/so762/corpus
    """
    console = Console()
    made_from = _source(source, data, profile, seed, min_age)
    storage = open_storage(out, writable=True)
    if is_complete(storage, made_from, senones):
        console.print(f"Nothing to do: {escape(out)} is finished.", highlight=False)
    else:
        # The aligner tells of its passes in the log: all of them come before its first utterance.
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_log_handler(console)])
        with stages(console) as show:
            build(made_from, storage, senones=senones, workers=workers, progress=show)
    print_corpus(Corpus.open(out), console)


@corpus.command()
def info(
    url: Annotated[str, typer.Argument(help="Corpus: a path or URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a corpus holds: hours and speakers, senones and their frames, and what was left out and why.

    How well it is aligned stands there, too: log-likelihood per frame where it was aligned here, and the
    share of silence.

        softstore corpus info runs/demo/corpus
    """
    opened = Corpus.open(url)
    if as_json:
        typer.echo(json.dumps(describe_corpus(opened), indent=2, ensure_ascii=False))
    else:
        print_corpus(opened, Console())


def _source(source: SourceName, data: Path | None, profile: Profile, seed: int, min_age: int) -> Source:
    match source:
        case SourceName.SYNTHETIC:
            return SyntheticSource(profile.value, seed)
        case SourceName.AN4:
            return An4Source(_local(source, data))
        case SourceName.SPEECHOCEAN762:
            return Speechocean762Source(_local(source, data), min_age)


def _local(source: SourceName, data: Path | None) -> Path:
    if data is None:
        raise InvalidInputError(
            f"The {source.value} corpus is read from a local directory: name it with --data."
        )
    return data


def _log_handler(console: Console) -> logging.Handler:
    return RichHandler(console=console, show_time=False, show_level=False, show_path=False)
