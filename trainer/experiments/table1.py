"""Table 1 of Tang, Wang & Zhang 2015 on any corpus: one teacher, one store, many students.

Every step is a public command, and does nothing where it is finished: to go on after an interruption is to
run it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import softstore
from softstore import Corpus, __version__
from softstore.commands.info import describe
from trainer.checkpoint import write_whole
from trainer.command_lines import run, run_side_by_side
from trainer.decoding.texts import texts_of
from trainer.demo.paper import TABLE_1
from trainer.experiments.outcomes import FRAMES, WORDS, Outcome, read_outcome
from trainer.experiments.report import markdown, show, write_html
from trainer.experiments.resampling import Resampled
from trainer.experiments.statements import statements
from trainer.experiments.systems import DNN, RNN_0, Scale, System, systems, train_arguments

TEST = "test"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the table is to be of.

    Attributes:
        corpus_arguments: of `softstore corpus make`, all but ``--out``.
        seeds: students of each row.
        temperatures: of the teacher.
        alpha: the weight of the hard labels in ``reg``.
    """

    corpus_arguments: Sequence[str]
    scale: Scale
    seeds: int
    temperatures: Sequence[float]
    alpha: float


def table1(asked: Asked, out: Path, console: Console) -> None:
    """Make the table below ``out``: ``table1.json``, ``table1.md`` and ``table1.html``.

    Raises:
        SoftstoreError: a step failed; what it said is on the terminal. Or the corpus has no test split.
    """
    corpus, teacher, store = out / "corpus", out / "teacher", out / "store"
    run(console, ["corpus", "make", *asked.corpus_arguments, "--out", str(corpus)])
    texts = texts_of(Corpus.open(corpus), TEST)
    run(console, ["teacher", "train", str(corpus), "--out", str(teacher), "--preset", asked.scale.value])
    run(console, ["generate", str(corpus), "--teacher", str(teacher), "--store", str(store)])
    students = systems(asked.temperatures)
    models = {
        student.title: [out / "students" / student.name / f"seed-{seed}" for seed in range(asked.seeds)]
        for student in students
    }
    run_side_by_side(console, _training(asked, students, models, store))
    models = {DNN: [teacher], **models}
    for judging in _judging(models, corpus):
        run_side_by_side(console, judging)
    outcomes = {
        title: [read_outcome(model, texts, TEST) for model in seeds] for title, seeds in models.items()
    }
    summary = _summary(asked, students, outcomes, texts, store)
    write_whole(out / "table1.json", (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode())
    write_whole(out / "table1.md", markdown(summary).encode())
    write_html(out / "table1.html", summary)
    show(summary, console)
    console.print(f"\nThe report: {out / 'table1.html'}", highlight=False, markup=False, soft_wrap=True)


def _training(
    asked: Asked, students: Sequence[System], models: Mapping[str, Sequence[Path]], store: Path
) -> dict[str, list[str]]:
    commands = {}
    for student in students:
        arguments = train_arguments(student, asked.scale, asked.alpha)
        for seed, model in enumerate(models[student.title]):
            commands[f"{student.name} {seed}"] = [
                *("train", "--store", str(store), "--out", str(model), "--seed", str(seed)),
                *arguments,
            ]
    return commands


def _judging(models: Mapping[str, Sequence[Path]], corpus: Path) -> Iterator[dict[str, list[str]]]:
    """Frames, then words, of those that are not judged yet."""
    for name, asked in ((FRAMES, []), (WORDS, ["--split", TEST, "--wer"])):
        yield {
            f"{model.parent.name} {model.name}": [
                *("evaluate", "--model", str(model), "--store", str(corpus)),
                *(*asked, "--json", str(model / name)),
            ]
            for seeds in models.values()
            for model in seeds
            if not (model / name).exists()
        }


def _summary(
    asked: Asked,
    students: Sequence[System],
    outcomes: Mapping[str, Sequence[Outcome]],
    texts: Mapping[str, Sequence[str]],
    store: Path,
) -> dict[str, Any]:
    words = np.array([len(text) for text in texts.values()], np.int64)
    errors = {title: [outcome.errors for outcome in seeds] for title, seeds in outcomes.items()}
    rates = Resampled(errors, words)
    described = describe(softstore.open(store))
    return {
        "corpus": described["corpus"],
        "scale": asked.scale.value,
        "seeds": asked.seeds,
        "alpha": asked.alpha,
        "hours": described["hours"],
        "class_count": described["class_count"],
        "test": {"utterances": len(texts), "words": int(words.sum())},
        "rows": [_row(title, outcomes[title], rates) for title in outcomes],
        "statements": [each.to_json() for each in statements(students, outcomes, rates)],
        "store": described,
        "saved": _saved(described, outcomes),
        "created_by": f"softstore {__version__}",
    }


def _row(title: str, seeds: Sequence[Outcome], rates: Resampled) -> dict[str, Any]:
    paper = TABLE_1.get(title)
    return {
        "title": title,
        "seeds": len(seeds),
        "fa_train": [outcome.fa_train for outcome in seeds],
        "fa_cv": [outcome.fa_cv for outcome in seeds],
        "word_error_rate": asdict(rates.word_error_rate(title)),
        "fewer_errors_than": {
            reference: asdict(rates.reduction(title, reference))
            for reference in (DNN, RNN_0)
            if reference != title
        },
        "epochs": [outcome.epochs for outcome in seeds],
        "seconds": sum(outcome.seconds for outcome in seeds),
        "curves": [outcome.curve for outcome in seeds],
        "settings": [dict(outcome.setting) for outcome in seeds],
        "paper": paper and paper._asdict(),
    }


def _saved(described: Mapping[str, Any], outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, float]:
    """Teacher-seconds: generating once, and what running the teacher in every soft epoch would have taken."""
    generation = sum(found["seconds"] for found in described["runs"])
    epochs = sum(outcome.taught_epochs for seeds in outcomes.values() for outcome in seeds)
    return {"generation_seconds": generation, "online_seconds": generation * epochs}
