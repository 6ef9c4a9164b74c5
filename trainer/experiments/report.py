"""Table 1 to be read: on the terminal, as Markdown, and as one HTML file with its pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from rich.console import Console
from rich.table import Table

from trainer.checkpoint import write_whole
from trainer.demo.figures import bytes_by_track, learning_curves

HEADINGS = (
    "",
    "FA train %",
    "FA cv %",
    "WER %",
    "95 % interval",
    "fewer errors than RNN-0, %",
    "than DNN, %",
    "paper: FA train",
    "FA cv",
    "WER",
)

_SHOWN = 5
"""Columns on the terminal, which is not as wide as a page."""


def cells(row: Mapping[str, Any]) -> list[str]:
    """Of one row, below `HEADINGS`."""
    rate, paper = row["word_error_rate"], row["paper"]
    return [
        row["title"],
        _of_seeds(row["fa_train"]),
        _of_seeds(row["fa_cv"]),
        f"{rate['value']:.1f}",
        f"{rate['low']:.1f} … {rate['high']:.1f}",
        *(_reduction(row["fewer_errors_than"].get(reference)) for reference in ("RNN-0", "DNN")),
        *([f"{paper[name]:.1f}" for name in ("fa_train", "fa_cv", "wer")] if paper else ["", "", ""]),
    ]


def described(summary: Mapping[str, Any]) -> str:
    """What the table is of, in a sentence or two."""
    saved, test = summary["saved"], summary["test"]
    return (
        f"{summary['corpus']['name']}, {summary['hours']:.2f} hours, {summary['class_count']:,} senones, "
        f"scale {summary['scale']}, {summary['seeds']} seeds a student, {test['words']:,} words in "
        f"{test['utterances']:,} test utterances. The teacher ran once, {saved['generation_seconds']:.0f} s; "
        f"in every epoch that used it, that would have been {saved['online_seconds']:.0f} s."
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """The table, and what the paper says of its own."""
    lines = ["# Table 1", "", described(summary), ""]
    lines += [_line(HEADINGS), _line(["---", *["---:"] * (len(HEADINGS) - 1)])]
    lines += [_line(cells(row)) for row in summary["rows"]]
    lines += ["", "## What the paper says of its table, and this one", ""]
    for statement in summary["statements"]:
        lines.append(f"- {statement['text']} **{statement['verdict'].capitalize()}.**")
        lines += [f"  - {_claim(claim)}" for claim in statement["claims"]]
    return "\n".join([*lines, ""])


def write_html(path: Path, summary: Mapping[str, Any]) -> None:
    """The same with learning curves and what the store holds."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainer", "experiments"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    store = summary["store"]
    curves = {row["title"]: _mean_curve(row["curves"]) for row in summary["rows"]}
    pictures = {
        "learning_curves": learning_curves(curves),
        "bytes_by_track": bytes_by_track(store["track_bytes"], store["frames"]),
    }
    text = environment.get_template("table1.html.j2").render(
        summary=summary,
        described=described(summary),
        headings=HEADINGS,
        rows=[cells(row) for row in summary["rows"]],
        claim=_claim,
        **{name: base64.b64encode(picture).decode() for name, picture in pictures.items()},
    )
    write_whole(path, text.encode())


def show(summary: Mapping[str, Any], console: Console) -> None:
    """On the terminal."""
    table = Table("", title="\nTable 1", title_justify="left")
    for heading in HEADINGS[1:_SHOWN]:
        table.add_column(heading, justify="right")
    for row in summary["rows"]:
        table.add_row(*cells(row)[:_SHOWN])
    console.print(table)
    console.print(described(summary), highlight=False, markup=False)
    for statement in summary["statements"]:
        console.print(
            f"{statement['text']} {statement['verdict'].capitalize()}.", highlight=False, markup=False
        )


def _of_seeds(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def _reduction(estimate: Mapping[str, float] | None) -> str:
    return (
        ""
        if estimate is None
        else f"{estimate['value']:.1f} ({estimate['low']:.1f} … {estimate['high']:.1f})"
    )


def _claim(claim: Mapping[str, Any]) -> str:
    found = claim["estimate"]
    between = "" if found["low"] is None else f" ({found['low']:.1f} … {found['high']:.1f})"
    return f"{claim['text']}: {found['value']:.1f} {claim['unit']}{between}: {claim['verdict']}"


def _line(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """As far as all seeds went."""
    shared = min(map(len, curves))
    return [float(value) for value in np.mean([curve[:shared] for curve in curves], axis=0)]
