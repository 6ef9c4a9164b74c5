"""`softstore evaluate`."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from trainer.checkpoint import load_model, write_whole
from trainer.evaluation import KL_TEMPERATURES, Evaluation, Scores
from trainer.evaluation import evaluate as evaluate_split
from trainer.examples import open_examples


def evaluate(
    model: Annotated[Path, typer.Option(help="A teacher or student: the directory it was trained into.")],
    store: Annotated[str, typer.Option(help="A store or corpus: a path or URL.")],
    split: Annotated[
        list[str] | None, typer.Option(help="May be given several times. [default: train and cv]")
    ] = None,
    by_condition: Annotated[bool, typer.Option(help="A line for each noise condition too.")] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="SOFTSTORE_TOKEN", help="Bearer token for http(s).")
    ] = None,
) -> None:
    """Score a model on whole utterances, its output delay taken into account.

    Frame accuracy and cross entropy are against the labels; from a store also KL(teacher ‖ model) in nats,
    both softened at T = 1 and 2. The file has the
    figures of every noise condition too, where the corpus has them.

        softstore evaluate --model runs/demo/students/soft --store runs/demo/store
        softstore evaluate --model runs/demo/teacher --store runs/demo/corpus --split test --json test.json
    """
    console = Console()
    checkpoint = load_model(model)
    examples = open_examples(store, token)
    results: dict[str, Evaluation] = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        for name in split or ("train", "cv"):
            task = bar.add_task(name, total=examples.num_frames(name))
            results[name] = evaluate_split(checkpoint.model, examples, name, partial(bar.advance, task))
    console.print(_table(results, examples.codec is not None, by_condition))
    if json is not None:
        value = {
            "fingerprint": checkpoint.fingerprint,
            "splits": {n: r.to_json() for n, r in results.items()},
        }
        write_whole(json, (json_format.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def _table(results: Mapping[str, Evaluation], has_targets: bool, by_condition: bool) -> Table:
    table = Table("split", *(["condition"] if by_condition else []))
    columns = ["utterances", "frames", "FA %", "cross entropy"]
    columns += [f"KL at T = {temperature:g}" for temperature in KL_TEMPERATURES if has_targets]
    for column in columns:
        table.add_column(column, justify="right")
    for split, result in results.items():
        if not by_condition:
            table.add_row(split, *_cells(result.total))
            continue
        table.add_row(split, "all", *_cells(result.total), style="bold")
        for condition, scores in result.conditions.items():
            table.add_row("", condition, *_cells(scores))
    return table


def _cells(scores: Scores) -> list[str]:
    return [
        f"{scores.utterances:,}",
        f"{scores.frames:,}",
        f"{scores.frame_accuracy:.1f}",
        f"{scores.cross_entropy:.3f}",
        *(f"{value:.3f}" for value in scores.kl.values()),
    ]
