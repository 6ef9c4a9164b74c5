"""From audio to students trained on stored soft targets, step by step, by the public commands."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import softstore
from softstore.commands.info import describe
from trainer.command_lines import run, run_side_by_side
from trainer.demo.paper import TABLE_1
from trainer.demo.questions import Answer, ask
from trainer.demo.report import write_report
from trainer.demo.steps import STORE_NAME, STUDENTS, serving

ASKED_FRAMES = 300
EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the table; frame accuracies in per cent, the paper's beside ours."""

    name: str
    title: str
    targets: str
    fa_train: float
    fa_cv: float
    paper_fa_train: float
    paper_fa_cv: float
    epochs: int
    seconds: float
    curve: list[float]


def travel(out: Path, corpus_arguments: Sequence[str], console: Console) -> None:
    """Make the whole journey below ``out``; finished steps of an earlier call are not done again.

    Raises:
        SoftstoreError: a step failed; what it said is on the terminal.
    """
    started = time.monotonic()
    corpus, teacher, store = out / "corpus", out / "teacher", out / "store"
    students = {student.name: out / "students" / student.name for student in STUDENTS}
    steps = [
        ["corpus", "make", *corpus_arguments, "--out", str(corpus)],
        ["teacher", "train", str(corpus), "--out", str(teacher), "--preset", "demo"],
        ["generate", str(corpus), "--teacher", str(teacher), "--store", str(store)],
    ]
    for arguments in steps:
        run(console, arguments)
    utterance_id = _clearest_cv_utterance(store)
    asked_frames = min(ASKED_FRAMES, softstore.open(store)[utterance_id].num_frames)
    with serving(console, store) as url:
        answers = ask(url, utterance_id, asked_frames)
        _print_answers(answers, console)
        taught = {
            student.name: [
                *("train", "--store", f"{url}/objects", "--out", str(students[student.name])),
                *("--preset", "demo", *student.arguments.split()),
            ]
            for student in STUDENTS
        }
        run_side_by_side(console, taught)
    judged = {
        name: ["evaluate", "--model", str(model), "--store", str(store), "--json", str(model / EVALUATION)]
        for name, model in {"teacher": teacher, **students}.items()
    }
    run_side_by_side(console, judged)
    served = ["serve", f"{STORE_NAME}={store}", "--port", "0"]
    commands = [shlex.join(words) for words in (*steps, served, *taught.values(), *judged.values())]
    summary = _summary(out, utterance_id, answers, commands, time.monotonic() - started)
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False))
    write_report(out, summary)
    _print_table(summary, console)
    console.print(f"\nThe report: {out / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


def _clearest_cv_utterance(store: Path) -> str:
    """The one whose posteriors have the lowest entropy: there is most to see in it."""
    table = softstore.open(store).manifest.where(split="cv").sort_by("entropy")
    return str(table["utterance_id"][0])


def _summary(
    out: Path, utterance_id: str, answers: list[Answer], commands: list[str], seconds: float
) -> dict[str, Any]:
    store = softstore.open(out / "store")
    described = describe(store)
    students = [
        _row(out / "students" / student.name, student.name, student.title, student.targets)
        for student in STUDENTS
    ]
    rows = [_row(out / "teacher", "teacher", "DNN", "hard"), *students]
    rows.sort(key=lambda row: list(TABLE_1).index(row.title))
    return {
        "corpus_name": described["corpus"]["name"],
        "class_count": store.class_count,
        "hours": described["hours"],
        "cores": os.cpu_count(),
        "seconds_total": seconds,
        "table": [asdict(row) for row in rows],
        "store": described,
        "utterance_id": utterance_id,
        "utterance_text": store[utterance_id].text,
        "service": [answer.to_json() for answer in answers],
        "commands": commands,
        "created_by": described["created_by"],
    }


def _row(model: Path, name: str, title: str, targets: str) -> Row:
    splits = json.loads((model / EVALUATION).read_text())["splits"]
    epochs = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    return Row(
        name=name,
        title=title,
        targets=targets,
        fa_train=splits["train"]["frame_accuracy"],
        fa_cv=splits["cv"]["frame_accuracy"],
        paper_fa_train=TABLE_1[title].fa_train,
        paper_fa_cv=TABLE_1[title].fa_cv,
        epochs=len(epochs),
        seconds=sum(epoch["seconds"] for epoch in epochs),
        curve=[epoch["cv_accuracy"] for epoch in epochs],
    )


def _print_answers(answers: list[Answer], console: Console) -> None:
    console.print(f"\nAsked: GET {answers[0].url}", highlight=False, soft_wrap=True)
    table = Table("T")
    for heading in ("mean top posterior", "mean entropy", "JSON bytes", "npy bytes"):
        table.add_column(heading, justify="right")
    for answer in answers:
        table.add_row(
            f"{answer.temperature:g}",
            f"{answer.mean_top1:.3f}",
            f"{answer.mean_entropy:.2f} nats",
            f"{answer.json_bytes:,}",
            f"{answer.npy_bytes:,}",
        )
    console.print(table)


def _print_table(summary: Mapping[str, Any], console: Console) -> None:
    table = Table("model", title="\nFrame accuracy, %", title_justify="left")
    for heading in ("TR", "CV", "paper TR", "paper CV", "epochs", "s"):
        table.add_column(heading, justify="right")
    for row in summary["table"]:
        accuracies = (row["fa_train"], row["fa_cv"], row["paper_fa_train"], row["paper_fa_cv"])
        numbers = [f"{value:.1f}" for value in accuracies]
        table.add_row(row["title"], *numbers, str(row["epochs"]), f"{row['seconds']:.0f}")
    console.print(table)
    sizes = summary["store"]["track_bytes"]
    frames = summary["store"]["frames"]
    where = ", ".join(f"{track} {size / frames:.0f}" for track, size in sizes.items())
    console.print(f"Bytes a frame in the store: {where}.", highlight=False)
    console.print(f"Everything took {summary['seconds_total']:.0f} s.", highlight=False)
