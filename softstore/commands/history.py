"""What `softstore info` says of a store's past: who made it, in which runs, and what they left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from softstore.commands.durations import duration
from softstore.format import Attributes, RunRecord, Skipped
from softstore.provenance import features_fingerprint

LAST_RUNS = 5
LISTED = 20
"""Skipped utterances that are named."""


def print_history(attributes: Attributes, console: Console) -> None:
    """The last runs, what they skipped, and what the posteriors depend on."""
    if attributes.runs:
        console.print(_runs(attributes.runs))
    for line in _provenance(attributes):
        console.print(line, highlight=False, soft_wrap=True)
    if attributes.skipped:
        console.print(
            f"[yellow]Skipped, and stored by nobody since: {len(attributes.skipped):,} utterances[/]"
        )
        for line in skipped_lines(attributes.skipped, "--json has them all"):
            console.print(line, highlight=False, soft_wrap=True)


def skipped_lines(skipped: Sequence[Skipped], rest: str) -> Iterator[str]:
    """The first of them with their reasons, in console markup.

    Args:
        rest: where the others are listed.
    """
    for entry in skipped[:LISTED]:
        yield f"  {escape(entry.utterance_id)}: {escape(' '.join(entry.reason.split()))}"
    if len(skipped) > LISTED:
        yield f"  and {len(skipped) - LISTED:,} more: {rest}"


def _runs(runs: Sequence[RunRecord]) -> Table:
    earlier = f", the last {LAST_RUNS} of {len(runs)}" if len(runs) > LAST_RUNS else ""
    table = Table("started (UTC)", "by", "stored", "took", "revision", "on", title=f"Runs{earlier}")
    table.title_justify = "left"
    for run in runs[-LAST_RUNS:]:
        table.add_row(
            escape(run.started[:19].replace("T", " ")),
            escape(f"{run.user}@{run.host}"),
            _stored(run),
            duration(run.seconds) if run.finished else "–",
            escape(_revision(run.git)),
            escape(run.device) + (f", {run.workers} workers" if run.workers else ""),
        )
    return table


def _stored(run: RunRecord) -> str:
    if run.finished is None:
        return "[yellow]under way or killed[/]"
    skipped = f", {run.skipped:,} skipped" if run.skipped else ""
    return f"{run.utterances:,} utterances, {run.frames:,} frames{skipped}"


def _revision(git: str | None) -> str:
    return f"{git[:10]}{'+' if git.endswith('+') else ''}" if git else "–"


def _provenance(attributes: Attributes) -> Iterator[str]:
    if attributes.teacher:
        yield f"Teacher:  {escape(attributes.teacher.fingerprint)}"
    if attributes.features:
        yield f"Features: {features_fingerprint(attributes.features)}"
    if attributes.runs:
        run = attributes.runs[-1]
        yield f"Versions: {escape(', '.join(' '.join(pair) for pair in run.versions.items()))}"
        yield f"Command:  {escape(' '.join(run.command))}"
