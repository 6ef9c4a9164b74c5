"""`softstore verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from softstore.checks.report import Report
from softstore.commands.token_option import TokenOption
from softstore.repair import repair as put_right
from softstore.storage import open_storage
from softstore.teacher import load_teacher
from softstore.verify import SAMPLE
from softstore.verify import Progress as Show
from softstore.verify import verify as check

FAULTS_FOUND = 1
SHOWN = 20


def verify(
    url: Annotated[str, typer.Argument(help="Store or corpus: a path or URL.")],
    sample: Annotated[int, typer.Option(min=0, help="Utterances to decode; 0 for none.")] = SAMPLE,
    teacher: Annotated[
        Path | None, typer.Option(help="Run this teacher on the sample, and compare with the certificate.")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Delete orphans and damaged shards, so that these can be made again."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    token: TokenOption = None,
) -> None:
    """Check that everything is there, and is what was written.

    Every object is read and its checksums compared, the manifest is checked row by row, and a sample of
    utterances is decoded and held against its certificate. What nothing refers to (orphans that a killed run
    left, and whatever is not of this store) is listed; over http(s) it cannot be.

    With --repair, orphans are deleted, wrong metadata is rewritten, and damaged or lost shards of a store are
    deleted, each as a whole with all of its utterances, to be made again by whatever made the store
    (`softstore generate`, `softstore recode`, or your own recorder). What is not of this store is left alone.
    Nothing else may write meanwhile.

    Exit code: 0 if it is sound, 1 if faults were found (repaired or not), 2 if it could not be checked.

        softstore verify runs/demo/store
        softstore verify runs/demo/store --teacher runs/demo/teacher
        softstore verify runs/demo/store --repair
    """
    storage = open_storage(url, token=token)
    with _bar() as show:
        report = check(
            storage, sample=sample, teacher=load_teacher(teacher) if teacher else None, progress=show
        )
    if repair:
        put_right(storage, report)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(report, repair)
    if not report.sound:
        raise typer.Exit(FAULTS_FOUND)


@contextmanager
def _bar() -> Iterator[Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading", total=None)

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield show


def _print(report: Report, repaired: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for fault in report.faults:
        console.print(Text.assemble(("✗ ", "red"), fault.message))
    checked = report.checked
    held = f"{checked.utterances:,} utterances, {checked.objects:,} objects, {checked.bytes:,} bytes"
    if report.sound:
        console.print(f"[green]Sound[/]: {held}.")
    else:
        found = "1 fault" if len(report.faults) == 1 else f"{len(report.faults):,} faults"
        console.print(f"[red]{found}[/] in {held}.")
    if checked.unpublished:
        console.print(f"{checked.unpublished:,} shards are not written yet: run `softstore generate` again.")
    if not checked.listed and report.attributes is not None:
        console.print("Not checked for orphans: a web server does not list its files.")
    for sentence in report.repaired:
        console.print(Text(sentence))
    _print_foreign(report, console)
    if not repaired:
        _print_orphans(report, console)
        if not report.sound and report.attributes is not None:
            console.print("`softstore verify --repair` does what repairing can.")


def _print_foreign(report: Report, console: Console) -> None:
    for found in report.foreign[:SHOWN]:
        console.print(Text(f"{found.path} is not of this store ({found.size:,} bytes)."))
    if len(report.foreign) > SHOWN:
        console.print(f"{len(report.foreign):,} objects are not of this store, and left alone.")


def _print_orphans(report: Report, console: Console) -> None:
    for orphan in report.orphans[:SHOWN]:
        console.print(Text(f"Nothing refers to {orphan.path} ({orphan.size:,} bytes)."))
    if report.orphans:
        count, size = len(report.orphans), sum(orphan.size for orphan in report.orphans)
        what = "1 orphan" if count == 1 else f"{count:,} orphans"
        console.print(f"{what}, {size:,} bytes: left by a run that was stopped, --repair deletes them.")
