"""What `softstore evaluate --wer` does and shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import TimeRemainingColumn
from rich.table import Table

from softstore.corpus import Corpus
from softstore.errors import InvalidInputError
from trainer.checkpoint import Checkpoint
from trainer.commands.stages import stages
from trainer.decoding import Recognition, model_likelihoods, recognise
from trainer.decoding.libraries import require_libraries
from trainer.examples import Examples

GRAPHS = "decoding"
"""Where a model's directory keeps decoding graphs."""


def check_decodable(examples: Examples) -> None:
    """Before the long work.

    Raises:
        MissingDependencyError: a library is not installed.
        InvalidInputError: this is a store, which has no lexicon.
        NotFoundError: this is a corpus of somebody else's making, without a lexicon.
    """
    require_libraries()
    if examples.attributes.kind != "corpus":
        raise InvalidInputError(
            f"--wer needs a corpus, which has a lexicon and a senone tree; {examples.url} is a soft-target "
            "store: name the corpus it was made from."
        )
    Corpus(examples.frames).senones()


def recognise_words(
    checkpoint: Checkpoint,
    examples: Examples,
    splits: Sequence[str],
    directory: Path,
    arpa: Path | None,
    console: Console,
) -> dict[str, Recognition]:
    """See `trainer.decoding.recognise`; shows how far it is."""
    with stages(console, TimeRemainingColumn(), transient=True) as show:
        likelihoods = model_likelihoods(checkpoint, examples)
        return recognise(Corpus(examples.frames), likelihoods, splits, directory / GRAPHS, arpa, show)


def word_table(results: Mapping[str, Recognition]) -> Table:
    """Word error rates by split."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("split", overflow="fold")
    for column in ("utterances", "words", "WER %", "95 % interval", "ins", "del", "sub"):
        table.add_column(column, justify="right", no_wrap=True)
    for split, result in results.items():
        errors = result.errors
        table.add_row(
            split,
            f"{errors.utterances:,}",
            f"{errors.words:,}",
            f"{errors.word_error_rate:.1f}",
            f"{errors.low:.1f} … {errors.high:.1f}",
            f"{errors.insertions:,}",
            f"{errors.deletions:,}",
            f"{errors.substitutions:,}",
        )
    setting = next(iter(results.values())).setting
    table.caption = (
        f"Tuned on cv: language model weight {setting.lm_weight:g} (acoustic scale 1/{setting.lm_weight:g}), "
        f"word insertion penalty {setting.insertion_penalty:g}."
    )
    return table
