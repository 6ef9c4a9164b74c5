"""`softstore teacher train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from trainer.commands.training import configured, report, resumed, running
from trainer.config import TEACHERS, Preset, TeacherConfig
from trainer.examples import open_examples
from trainer.teacher import train_teacher

teacher = typer.Typer(no_args_is_help=True, help="Train the teacher.")


@teacher.callback()
def _group() -> None:
    """Train the teacher."""


@teacher.command()
def train(
    out: Annotated[Path, typer.Option(help="The directory the teacher is written to.")],
    corpus: Annotated[
        str | None,
        typer.Argument(help="The corpus: a path or URL; needed, if not in a file. A store does as well."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, as it was configured.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML; the options below change it.")] = None,
    preset: Annotated[Preset, typer.Option(help="What holds where nothing else is said.")] = Preset.PAPER,
    layers: Annotated[int | None, typer.Option(min=1, help="Hidden ReLU layers.")] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="Units in each.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Frames of a minibatch.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd or adamw. Presets: sgd.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The first one; see below.")] = None,
    keep_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs after which the rate is halved in any case.")
    ] = None,
    amp: Annotated[bool | None, typer.Option("--amp", help="Layers compute in bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed trains the same teacher.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")
    ] = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(min=0, help="So often the state is saved within an epoch. Presets: 300.")
    ] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="Also write TensorBoard event files.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="SOFTSTORE_TOKEN", help="Bearer token for http(s).")
    ] = None,
) -> None:
    """Train a DNN on a corpus's labels: ±5 frames spliced, LDA to 200 dimensions, ReLU layers, softmax.

    Minibatches of shuffled frames, the learning rate for the mean over one. **sgd** has momentum 0.9; its
    rate is halved once the cross-validation loss hardly falls any more, and an epoch that makes it worse is
    undone. **adamw** is warmed up, and its rate falls along a cosine.

    **paper**: 4 × 2048 units. **demo**: 2 × 512, for two cores and a minute or two.

    Leaves the best teacher so far in `model.safetensors` and `model.json`, and what `softstore train` leaves
    beside them. Run it again after an interruption, or with `--resume`, and it goes on to the same teacher.
    SIGTERM and Ctrl-C save first.

        softstore teacher train runs/demo/corpus --out runs/demo/teacher --preset demo
        softstore teacher train --resume --out runs/demo/teacher
    """
    console = Console()
    loop = {"checkpoint_seconds": checkpoint_seconds, "tensorboard": tensorboard, "device": device}
    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_frames": batch,
        "amp": amp,
        "seed": seed,
        "model": {"layers": layers, "hidden": hidden},
        "optimizer": {"kind": optimizer, "learning_rate": learning_rate},
        "schedule": {"keep_epochs": keep_epochs},
    }
    if resume:
        told, source = resumed(TeacherConfig(), out, corpus, config, options, loop)
    else:
        told, source = configured(TEACHERS[preset], config, corpus, {**options, "loop": loop})
    with running(console, "teacher train", out, told.loop) as (display, ranks):
        run = train_teacher(open_examples(source, token), told, out, display, ranks)
    report(console, run, out)
