"""`softstore demo`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from softstore.errors import MissingDependencyError
from trainer.commands.corpus import Profile, SourceName
from trainer.commands.speech_options import (
    CorpusOption,
    DataOption,
    OutOption,
    ProfileOption,
    SenonesOption,
    corpus_arguments,
)


def demo(
    corpus: CorpusOption = SourceName.SYNTHETIC,
    data: DataOption = None,
    profile: ProfileOption = Profile.MINI,
    senones: SenonesOption = 2008,
    out: OutOption = Path("runs/demo"),
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
    travel(out, corpus_arguments(corpus, data, profile, senones), Console())
