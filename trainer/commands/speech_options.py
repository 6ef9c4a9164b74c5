"""Which corpus a journey of many steps begins with: its options, and `softstore corpus make`'s arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer.commands.corpus import Profile, SourceName

CorpusOption = Annotated[SourceName, typer.Option(help="Where the speech comes from.")]
DataOption = Annotated[
    Path | None, typer.Option(help="an4, speechocean762: the directory, laid out as published.")
]
ProfileOption = Annotated[Profile, typer.Option(help="synthetic: how much speech to make.")]
SenonesOption = Annotated[int, typer.Option(min=2, help="Tied triphone states to aim at.")]
OutOption = Annotated[Path, typer.Option(help="Where everything goes.")]


def corpus_arguments(corpus: SourceName, data: Path | None, profile: Profile, senones: int) -> list[str]:
    """All but where the corpus is to be."""
    arguments = [corpus.value]
    if corpus is SourceName.SYNTHETIC:
        arguments += ["--profile", profile.value]
    if data is not None:
        arguments += ["--data", str(data)]
    return [*arguments, "--senones", str(senones)]
