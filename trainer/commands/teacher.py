"""`softstore teacher train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.commands.training import overridden, report, showing
from trainer.config import TEACHERS, Preset
from trainer.examples import open_examples
from trainer.teacher import train_teacher

teacher = typer.Typer(no_args_is_help=True, help="Train the teacher.")


@teacher.callback()
def _group() -> None:
    """Train the teacher."""


@teacher.command()
def train(
    corpus: Annotated[str, typer.Argument(help="The corpus: a path or URL. A store does as well.")],
    out: Annotated[Path, typer.Option(help="The directory the teacher is written to.")],
    preset: Annotated[Preset, typer.Option(help="What the options below are when not given.")] = Preset.PAPER,
    layers: Annotated[int | None, typer.Option(min=1, help="Hidden ReLU layers.")] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="Units in each.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Frames of a minibatch.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The first one; see below.")] = None,
    keep_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs after which the rate is halved in any case.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed trains the same teacher.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="SOFTSTORE_TOKEN", help="Bearer token for http(s).")
    ] = None,
) -> None:
    """Train a DNN on a corpus's labels: ±5 frames spliced, LDA to 200 dimensions, ReLU layers, softmax.

    Minibatches of shuffled frames, momentum 0.9. The learning rate, which is for the mean over a minibatch,
    is halved once the cross-validation loss hardly falls any more, and an epoch that makes it worse is
    undone.

    **paper**: 4 × 2048 units. **demo**: 2 × 512, for two cores and a minute or two.

    Leaves `model.safetensors`, `model.json`, `metrics.jsonl` (a line for each epoch) and
    `checkpoint.safetensors`. Run it again after an interruption and it goes on after the last finished
    epoch.

        softstore teacher train runs/demo/corpus --out runs/demo/teacher --preset demo
    """
    console = Console()
    config = overridden(
        TEACHERS[preset],
        learning_rate,
        keep_epochs,
        layers=layers,
        hidden=hidden,
        epochs=epochs,
        batch_frames=batch,
        seed=seed,
    )
    with showing(console, out) as display:
        run = train_teacher(open_examples(corpus, token), config, out, display)
    report(console, run, out)
