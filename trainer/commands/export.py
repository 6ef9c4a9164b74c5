"""`softstore export`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from softstore.commands.token_option import TokenOption
from softstore.errors import InvalidInputError
from trainer.checkpoint import load_model
from trainer.examples import open_examples
from trainer.export import Format, export_model, write_log_likelihoods


def export(
    model: Annotated[Path, typer.Argument(help="A teacher or student: the directory it was trained into.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[Format | None, typer.Option(help="Write the model, as a program.")] = None,
    log_likelihoods: Annotated[
        bool, typer.Option("--log-likelihoods", help="The program returns these, not log-posteriors.")
    ] = False,
    kaldi_ark: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Write log-likelihoods of a store or corpus: a path or URL.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Of that store or corpus.")] = "cv",
    token: TokenOption = None,
) -> None:
    """Take a model elsewhere: as a program, or as what it says of a split.

    **torchscript**, **torch-export** or **onnx**: a program without this package's code. It takes the
    features of one utterance, (frames, dimensions) float32, however long, and returns (frames, classes):
    log-posteriors, or log-likelihoods, which are log-posteriors less the senones' log-prior. An output delay
    is already taken out.

    **--kaldi-ark**: an archive with the log-likelihoods of every utterance of a split, and beside it a
    script, `.scp`, for Kaldi's decoders.

        softstore export runs/demo/students/soft --format onnx --out student.onnx
        softstore export runs/demo/students/soft --kaldi-ark runs/demo/store --split cv --out loglikes.ark
    """
    console = Console()
    if (format is None) == (kaldi_ark is None):
        raise InvalidInputError(
            "Say what to write, one of two: --format for the model, --kaldi-ark for what it says of a split."
        )
    checkpoint = load_model(model)
    if format is not None:
        export_model(checkpoint, out, format, log_likelihoods=log_likelihoods)
        console.print(f"{format}: {out}, {out.stat().st_size:,} bytes.", highlight=False, soft_wrap=True)
        return
    assert kaldi_ark is not None
    examples = open_examples(kaldi_ark, token)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(split, total=examples.num_frames(split))
        script = write_log_likelihoods(checkpoint, examples, split, out, partial(bar.advance, task))
    console.print(f"Log-likelihoods of {split}: {out}, {script.name}.", highlight=False, soft_wrap=True)
