"""`softstore evaluate`."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from softstore.commands.token_option import TokenOption
from softstore.errors import InvalidInputError
from trainer.checkpoint import load_model, write_whole
from trainer.commands.words import check_decodable, recognise_words, word_table
from trainer.evaluation import KL_TEMPERATURES, Evaluation, Scores
from trainer.evaluation import evaluate as evaluate_split
from trainer.evaluation.figure import check_drawable, draw, hardest
from trainer.examples import open_examples

MOST_LINES = 20
"""Values of a column that are listed; of more, those with the lowest accuracy."""


def evaluate(
    model: Annotated[Path, typer.Option(help="A teacher or student: the directory it was trained into.")],
    store: Annotated[str, typer.Option(help="A store or corpus: a path or URL.")],
    split: Annotated[
        list[str] | None, typer.Option(help="May be given several times. [default: train and cv]")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Also for each value of this manifest column; may be given several times. "
            "[default: condition and speaker, where there are any]",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them: a .png, .svg or .pdf file.")] = None,
    wer: Annotated[
        bool,
        typer.Option("--wer", help="Also decode words and count their errors; needs a corpus with texts."),
    ] = False,
    arpa: Annotated[
        Path | None,
        typer.Option(
            help="For --wer: a language model in the ARPA format. [default: a trigram of the training texts]"
        ),
    ] = None,
    token: TokenOption = None,
) -> None:
    """Score a model on whole utterances, its output delay taken into account.

    Frame accuracy (FA) and cross entropy (CE) are against the labels. ECE is the expected calibration error,
    in 15 bins: how far the model's confidence is from its accuracy. From a store also KL(teacher ‖ model) in
    nats, both softened at T = 1, 2, 4 and 8.

    Of a column with more than 20 values the terminal shows those with the lowest accuracy; `--json` has them
    all, and the reliability of each bin. `--plot` draws reliability, KL by T, and accuracy by the first
    column.

    `--wer` decodes with the corpus's lexicon; the acoustic scale and the word insertion penalty are tuned on
    cv. Its 95 % interval is from bootstrap samples of utterances. The decoding graph is kept in the model's
    directory.

        softstore evaluate --model runs/demo/students/soft --store runs/demo/store
        softstore evaluate --model runs/demo/teacher --store runs/demo/corpus --split test --json test.json
        softstore evaluate --model student --store s3://bucket/store --by speaker --by snr_db --plot cv.svg
        softstore evaluate --model student --store runs/demo/corpus --split cv --split test --wer
    """
    console = Console()
    suffix = check_drawable(plot) if plot is not None else ""
    checkpoint = load_model(model)
    examples = open_examples(store, token)
    splits = split or ["train", "cv"]
    if wer:
        check_decodable(examples)
    elif arpa is not None:
        raise InvalidInputError("--arpa is the language model of --wer: ask for both.")
    results: dict[str, Evaluation] = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        for name in splits:
            task = bar.add_task(name, total=examples.num_frames(name))
            results[name] = evaluate_split(
                checkpoint.model, examples, name, by or None, partial(bar.advance, task)
            )
    for table in _tables(results, examples.codec is not None):
        console.print(table)
    words = recognise_words(checkpoint, examples, splits, model, arpa, console) if wer else {}
    if words:
        console.print(word_table(words))
    if json is not None:
        value = {
            "fingerprint": checkpoint.fingerprint,
            "splits": {n: r.to_json() for n, r in results.items()},
            **({"words": {n: r.to_json() for n, r in words.items()}} if words else {}),
        }
        write_whole(json, (json_format.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
    if plot is not None:
        write_whole(plot, draw(results, suffix))


def _tables(results: Mapping[str, Evaluation], has_targets: bool) -> Iterator[Table]:
    total = _table(["split", "utterances"], has_targets)
    for split, result in results.items():
        total.add_row(split, f"{result.total.utterances:,}", *_cells(result.total))
    yield total
    for column in dict.fromkeys(column for result in results.values() for column in result.by):
        table = _table(["split", escape(column)], has_targets)
        left_out = 0
        for split, result in results.items():
            groups = result.by.get(column, {})
            shown = hardest(groups, MOST_LINES)
            left_out += len(groups) - len(shown)
            for number, (value, scores) in enumerate(shown.items()):
                table.add_row("" if number else split, escape(value), *_cells(scores))
        if left_out:
            table.caption = f"{left_out:,} with a higher accuracy are left out; --json has them."
        yield table


def _table(names: list[str], has_targets: bool) -> Table:
    """Without lines between its columns, which would not fit into 80 characters."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold", vertical="bottom")
    columns = ["frames", "FA %", "CE", "ECE %"]
    columns += [f"KL\nT={temperature:g}" for temperature in KL_TEMPERATURES if has_targets]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True, vertical="bottom")
    return table


def _cells(scores: Scores) -> list[str]:
    return [
        f"{scores.frames:,}",
        f"{scores.frame_accuracy:.1f}",
        f"{scores.cross_entropy:.3f}",
        f"{scores.calibration_error:.1f}",
        *(f"{value:.3f}" for value in scores.kl.values()),
    ]
