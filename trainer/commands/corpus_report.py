"""What `softstore corpus info` says, to people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from softstore.commands.info import describe, print_info
from softstore.corpus import Corpus
from trainer.corpora.source import Rejected
from trainer.corpora.summary import AlignmentQuality, SenoneUse, summarise

EXAMPLES = 5
"""So many utterances that were left out are named for each reason; JSON has all of them."""


def describe_corpus(corpus: Corpus) -> dict[str, Any]:
    """Everything `softstore info` knows, hours by split, senones, alignment and what was left out."""
    described, summary = describe(corpus), summarise(corpus)
    for split in described["splits"].values():
        split["hours"] = split["frames"] * corpus.attributes.frame_shift / 3600
    return {
        **described,
        "senones": asdict(summary.senones),
        "alignment": asdict(summary.alignment),
        "left_out": {kind: len(entries) for kind, entries in summary.left_out.items()},
    }


def print_corpus(corpus: Corpus, console: Console) -> None:
    """The same for people."""
    print_info(corpus, console)
    summary = summarise(corpus)
    test = corpus.attributes.corpus.get("test")
    if test:
        console.print(f"Test split: {escape(str(test))}.", highlight=False)
    _print_senones(summary.senones, console)
    _print_alignment(summary.alignment, console)
    _print_left_out(summary.left_out, len(corpus), console)


def _print_senones(senones: SenoneUse, console: Console) -> None:
    if senones.tied < senones.wanted:
        console.print(
            f"[yellow]{senones.wanted:,} senones were asked for; the data supports {senones.tied:,}.[/]",
            highlight=False,
        )
    console.print(
        f"Senones: {senones.tied:,}, of which {senones.trained:,} occur in train; training frames of each: "
        f"{senones.least:,.0f} at least, {senones.lower_quartile:,.0f} | {senones.median:,.0f} | "
        f"{senones.upper_quartile:,.0f} at the quartiles, {senones.most:,.0f} at most.",
        highlight=False,
        soft_wrap=True,
    )


def _print_alignment(alignment: AlignmentQuality, console: Console) -> None:
    said = []
    if alignment.log_likelihood is not None and alignment.worst_utterance is not None:
        said.append(
            f"log-likelihood {alignment.log_likelihood:.2f} nats a frame in the mean, "
            f"{alignment.worst_log_likelihood:.2f} in the worst utterance ({alignment.worst_utterance})"
        )
    if alignment.silence_share is not None:
        said.append(f"{alignment.silence_share:.1%} of all frames are silence")
    if said:
        console.print(f"Alignment: {'; '.join(said)}.", highlight=False, markup=False, soft_wrap=True)


def _print_left_out(left_out: dict[str, list[Rejected]], used: int, console: Console) -> None:
    total = sum(map(len, left_out.values()))
    console.print(f"Left out: {total:,} of {used + total:,} utterances.", highlight=False)
    for kind, entries in left_out.items():
        lines = [f"  {len(entries):,} × {kind}"]
        lines += [
            f"    {entry.utterance_id}{entry.reason.removeprefix(kind)}" for entry in entries[:EXAMPLES]
        ]
        if len(entries) > EXAMPLES:
            lines.append(f"    … and {len(entries) - EXAMPLES:,} more, all in --json")
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
