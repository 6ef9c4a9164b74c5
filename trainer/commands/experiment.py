"""`softstore experiment`: the tables of papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
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
from trainer.decoding.libraries import require_libraries
from trainer.experiments.systems import Scale

experiment = typer.Typer(no_args_is_help=True, help="Make a paper's table on a corpus.")


@experiment.callback()
def only_names() -> None:
    """Experiments are named, although there is but one."""


@experiment.command()
def table1(
    corpus: CorpusOption = SourceName.SYNTHETIC,
    data: DataOption = None,
    profile: ProfileOption = Profile.MINI,
    senones: SenonesOption = 2008,
    scale: Annotated[Scale, typer.Option(help="How large models are.")] = Scale.DEMO,
    seeds: Annotated[int, typer.Option(min=1, help="Students of each row.")] = 3,
    temperature: Annotated[
        list[float] | None, typer.Option(min=0.01, help="Of the teacher, repeatable. [default: 1 and 2]")
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.0, help="reg: the weight of the hard labels.")] = 0.5,
    out: OutOption = Path("runs/table1"),
) -> None:
    """Table 1 of Tang, Wang & Zhang 2015: does the knowledge of a weak DNN train an LSTM better than labels?

    Trains the DNN, stores its posteriors once, trains RNN-0 and RNN-T1 and -T2 by soft, reg and pretrain from
    that store, and counts word errors on the test split. Writes `table1.json`, `table1.md` and `table1.html`:
    frame accuracies, word error rates with intervals, the paper's figures beside, and which of the paper's
    statements hold. Run it again after an interruption and finished steps are not done twice.

        softstore experiment table1 --corpus an4 --data ~/an4 --out runs/an4
        softstore experiment table1 --corpus speechocean762 --data ~/speechocean762 --seeds 5
    """
    require_libraries()
    try:
        from trainer.experiments.table1 import Asked
        from trainer.experiments.table1 import table1 as make
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"Reports need {error.name}, which is not installed: pip install 'softstore[demo]'."
        ) from error
    arguments = corpus_arguments(corpus, data, profile, senones)
    temperatures = list(dict.fromkeys(temperature or [1.0, 2.0]))
    make(Asked(arguments, scale, seeds, temperatures, alpha), out, Console())
