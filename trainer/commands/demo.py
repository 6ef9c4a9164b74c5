"""`softstore demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from softstore.errors import MissingDependencyError
from trainer.commands.corpus import Profile, SourceName


def demo(
    corpus: Annotated[SourceName, typer.Option(help="Where the speech comes from.")] = SourceName.SYNTHETIC,
    data: Annotated[
        Path | None, typer.Option(help="an4, speechocean762: the directory, laid out as published.")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="synthetic: how much speech to make.")] = Profile.MINI,
    senones: Annotated[int, typer.Option(min=2, help="Tied triphone states to aim at.")] = 2008,
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
) -> None:
    """Make the whole journey: speech, teacher, store, service, and students taught over HTTP.

    Every step is one of the public commands, printed before it runs. It takes at most ten minutes on two
    cores and leaves a corpus, a teacher, a store, three students, `summary.json` and a self-contained
    `report.html`. Run it again after an interruption and finished steps are not done twice.

        softstore demo
        softstore demo --corpus an4 --data ~/an4 --out runs/an4
    """
    try:
        from trainer.demo.journey import travel
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"The demo needs {error.name}, which is not installed: pip install 'softstore[demo]'."
        ) from error
    arguments: list[str] = [corpus.value]
    if corpus is SourceName.SYNTHETIC:
        arguments += ["--profile", profile.value]
    if data is not None:
        arguments += ["--data", str(data)]
    travel(out, [*arguments, "--senones", str(senones)], Console())
