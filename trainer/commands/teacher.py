"""`softstore teacher train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from softstore.commands.token_option import TokenOption
from softstore.errors import InvalidInputError
from trainer.commands.options import (
    AmpOption,
    CheckpointSecondsOption,
    ConfigOption,
    DeviceOption,
    KeepEpochsOption,
    LearningRateOption,
    OptimizerOption,
    PresetOption,
    ResumeOption,
    TensorboardOption,
)
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
    resume: ResumeOption = False,
    config: ConfigOption = None,
    preset: PresetOption = Preset.PAPER,
    layers: Annotated[int | None, typer.Option(min=1, help="Hidden ReLU layers.")] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="Units in each.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Frames of a minibatch.")] = None,
    optimizer: OptimizerOption = None,
    learning_rate: LearningRateOption = None,
    keep_epochs: KeepEpochsOption = None,
    amp: AmpOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed trains the same teacher.")] = None,
    device: DeviceOption = None,
    checkpoint_seconds: CheckpointSecondsOption = None,
    tensorboard: TensorboardOption = None,
    token: TokenOption = None,
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
    named = [] if corpus is None else [corpus]
    if resume:
        told, sources = resumed(TeacherConfig(), out, named, config, options, loop)
    else:
        told, sources = configured(TEACHERS[preset], config, named, {**options, "loop": loop})
    if len(sources) > 1:
        raise InvalidInputError(f"A teacher learns from one corpus, and {len(sources)} are named.")
    with running(console, "teacher train", out, told.loop) as (display, ranks):
        run = train_teacher(open_examples(sources[0], token), told, out, display, ranks)
    report(console, run, out)
