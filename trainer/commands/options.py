"""The options that the training commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer.config import Preset

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out, as it was configured.")
]
ConfigOption = Annotated[Path | None, typer.Option(help="TOML; the options below change it.")]
PresetOption = Annotated[Preset, typer.Option(help="What holds where nothing else is said.")]
OptimizerOption = Annotated[str | None, typer.Option(help="sgd or adamw. Presets: sgd.")]
LearningRateOption = Annotated[float | None, typer.Option(help="The first one; see below.")]
KeepEpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Epochs after which the rate is halved in any case.")
]
AmpOption = Annotated[bool | None, typer.Option("--amp", help="Layers compute in bfloat16.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")
]
CheckpointSecondsOption = Annotated[
    float | None, typer.Option(min=0, help="So often the state is saved within an epoch. Presets: 300.")
]
TensorboardOption = Annotated[
    bool | None, typer.Option("--tensorboard", help="Also write TensorBoard event files.")
]
