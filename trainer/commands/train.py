"""`softstore train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.commands.training import overridden, report, showing
from trainer.config import STUDENTS, Preset, Targets
from trainer.examples import open_examples
from trainer.student import train_student


def train(
    store: Annotated[str, typer.Option(help="The store: a path, s3:// or http(s):// URL.")],
    out: Annotated[Path, typer.Option(help="The directory the student is written to.")],
    targets: Annotated[Targets, typer.Option(help="What it is taught by; see below.")] = Targets.SOFT,
    temperature: Annotated[float, typer.Option(help="T of the soft targets.")] = 2.0,
    alpha: Annotated[float, typer.Option(help="reg: the weight of the hard labels.")] = 0.5,
    student_temperature: Annotated[
        float, typer.Option(help="Temperature of the student against soft targets; 1 in the paper.")
    ] = 1.0,
    preset: Annotated[Preset, typer.Option(help="What the options below are when not given.")] = Preset.PAPER,
    layers: Annotated[int | None, typer.Option(min=1, help="LSTM layers.")] = None,
    cells: Annotated[int | None, typer.Option(min=1, help="Memory cells of a layer.")] = None,
    projection: Annotated[int | None, typer.Option(min=1, help="Width of the recurrent projection.")] = None,
    streams: Annotated[int | None, typer.Option(min=1, help="Utterances trained side by side.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="At most so many; of pretrain, those with hard targets.")
    ] = None,
    pretrain_epochs: Annotated[
        int | None, typer.Option(min=1, help="pretrain: at most so many with soft targets before.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The first one; see below.")] = None,
    keep_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs after which the rate is halved in any case.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed trains the same student.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="SOFTSTORE_TOKEN", help="Bearer token for http(s).")
    ] = None,
) -> None:
    """Train an LSTM student from a store: features, labels and soft targets are streamed from its one URL.

    The student is an LSTM with peepholes and a recurrent projection whose output is delayed by 5 frames. It
    learns from

    - **hard**: the senone labels;
    - **soft**: the teacher's posteriors at temperature T;
    - **reg**: both at once, alpha · hard + T² · soft;
    - **pretrain**: soft first, then hard with a fresh learning-rate schedule.

    Several utterances are trained side by side, 20 frames at a time, with momentum 0.9. The learning rate
    is for the mean over these frames (Kaldi's, for the sum, times streams times 20). It is halved once the
    cross-validation loss hardly falls any more, and an epoch that makes it worse is undone.

    **paper**: 2 × 800 cells, projection 512, 4 streams. **demo**: 2 × 192 cells, projection 96, 32
    streams, for two cores and a minute or two.

    Leaves `model.safetensors`, `model.json`, `metrics.jsonl` (a line for each epoch) and
    `checkpoint.safetensors`. Run it again after an interruption and it goes on after the last finished
    epoch.

        softstore train --store runs/demo/store --out runs/demo/students/soft --targets soft --preset demo
        softstore train --store https://host/v1/stores/demo/objects --out student --targets pretrain
        --temperature 2
    """
    console = Console()
    config = overridden(
        STUDENTS[preset],
        learning_rate,
        keep_epochs,
        targets=targets,
        temperature=temperature,
        alpha=alpha,
        student_temperature=student_temperature,
        layers=layers,
        cells=cells,
        projection=projection,
        streams=streams,
        epochs=epochs,
        pretrain_epochs=pretrain_epochs,
        seed=seed,
    )
    with showing(console, out) as display:
        run = train_student(open_examples(store, token), config, out, display)
    report(console, run, out)
