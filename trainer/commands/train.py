"""`softstore train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from softstore.commands.token_option import TokenOption
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
from trainer.config import STUDENTS, Preset, StudentConfig, Targets
from trainer.examples import open_examples
from trainer.student import train_student


def train(
    out: Annotated[Path, typer.Option(help="The directory the student is written to.")],
    store: Annotated[
        list[str] | None,
        typer.Option(
            help="A store: a path, s3:// or http(s):// URL; may be given several times, to mix them. Needed, "
            "if not in a file."
        ),
    ] = None,
    resume: ResumeOption = False,
    config: ConfigOption = None,
    preset: PresetOption = Preset.PAPER,
    targets: Annotated[
        Targets | None, typer.Option(help="What it is taught by; see below. Presets: soft.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="T of the soft targets. Presets: 2.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="reg: the weight of the hard labels. Presets: 0.5.")
    ] = None,
    student_temperature: Annotated[
        float | None, typer.Option(help="Temperature of the student against soft targets. Presets: 1.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="lstmp, lstm, dnn or blstm; see below. Presets: lstmp.")
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Hidden layers.")] = None,
    cells: Annotated[int | None, typer.Option(min=1, help="Memory cells of an LSTM layer.")] = None,
    projection: Annotated[int | None, typer.Option(min=1, help="Width of the recurrent projection.")] = None,
    streams: Annotated[int | None, typer.Option(min=1, help="Utterances trained side by side.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="At most so many; of pretrain, those with hard targets.")
    ] = None,
    pretrain_epochs: Annotated[
        int | None, typer.Option(min=1, help="pretrain: at most so many with soft targets before.")
    ] = None,
    optimizer: OptimizerOption = None,
    learning_rate: LearningRateOption = None,
    keep_epochs: KeepEpochsOption = None,
    amp: AmpOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed trains the same student.")] = None,
    device: DeviceOption = None,
    checkpoint_seconds: CheckpointSecondsOption = None,
    tensorboard: TensorboardOption = None,
    cache: Annotated[
        Path | None, typer.Option(help="A directory to keep what was read of a remote store.")
    ] = None,
    token: TokenOption = None,
) -> None:
    """Train a student from a store: features, labels and soft targets are streamed from its one URL.

    It learns from

    - **hard**: the senone labels;
    - **soft**: the teacher's posteriors at temperature T;
    - **reg**: both at once, alpha · hard + T² · soft;
    - **pretrain**: soft first, then hard with a fresh learning-rate schedule;
    - **logits**: the teacher's log-posteriors of all classes, by squared differences;
    - **topk**: the k classes that a topk store keeps of each frame, all others as one; or, with
      **topk-renormalised**, as if there were no others.

    It is an **lstmp**, an LSTM with peepholes and a recurrent projection whose output is delayed by 5 frames,
    taught on several utterances side by side, 20 frames at a time; or an **lstm**, the same without
    peepholes, PyTorch's own; or a **dnn** or **blstm**, both taught on whole utterances.

    The learning rate is for the mean over a batch's frames (Kaldi's, for the sum, times streams times 20).
    **sgd** has momentum 0.9; its rate is halved once the cross-validation loss hardly falls any more, and an
    epoch that makes it worse is undone. **adamw** is warmed up, and its rate falls along a cosine.

    **paper**: 2 × 800 cells, projection 512, 4 streams. **demo**: 2 × 192 cells, projection 96, 32
    streams, for two cores and a minute or two.

    Several stores, each a path or any URL, are mixed as if they were one: train with train and cv with cv,
    every frame once an epoch. Soft targets must be encoded alike in all. `--token` and `--cache` are for all
    of them: name no host that is not to see the token. To go on with a run, name them in the same order.

    Leaves the best student so far in `model.safetensors` and `model.json`, what was configured in
    `config.toml`, a line for each epoch in `metrics.jsonl` and for each 100 updates in `steps.jsonl`, and in
    `checkpoint.safetensors` what it needs to go on. Run it again after an interruption, or with `--resume`,
    and it goes on to the same student. SIGTERM and Ctrl-C save first.

        softstore train --store runs/demo/store --out runs/demo/students/soft --targets soft --preset demo
        softstore train --store https://host/v1/stores/demo/objects --out student --targets pretrain
        softstore train --store runs/clean --store s3://bucket/noisy --out student --targets soft
        softstore train --config student.toml --out student --learning-rate 0.004
        softstore train --resume --out student
        torchrun --nproc-per-node 2 -m softstore train --config student.toml --out student
    """
    console = Console()
    loop = {"checkpoint_seconds": checkpoint_seconds, "tensorboard": tensorboard, "device": device}
    options: dict[str, Any] = {
        "targets": targets,
        "temperature": temperature,
        "alpha": alpha,
        "student_temperature": student_temperature,
        "streams": streams,
        "epochs": epochs,
        "pretrain_epochs": pretrain_epochs,
        "amp": amp,
        "seed": seed,
        "model": {"kind": model, "layers": layers, "cells": cells, "projection": projection},
        "optimizer": {"kind": optimizer, "learning_rate": learning_rate},
        "schedule": {"keep_epochs": keep_epochs},
    }
    if resume:
        told, sources = resumed(StudentConfig(), out, store or [], config, options, loop)
    else:
        told, sources = configured(STUDENTS[preset], config, store or [], {**options, "loop": loop})
    with running(console, "train", out, told.loop) as (display, ranks):
        examples = [open_examples(source, token, cache=cache) for source in sources]
        run = train_student(examples, told, out, display, ranks)
    report(console, run, out)
