"""`softstore corpus import-kaldi`, `import-lhotse` and `export-kaldi`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from softstore.commands.token_option import TokenOption
from softstore.corpus import Corpus
from trainer.commands.corpus_report import print_corpus
from trainer.commands.stages import stages
from trainer.corpora.kaldi import find_kaldi
from trainer.corpora.kaldi_writer import write_kaldi
from trainer.corpora.labelled import LARGEST_SENONE, write_labelled
from trainer.corpora.lhotse import find_lhotse

imports = typer.Typer()

OutOption = Annotated[str, typer.Option(help="Where the corpus is to be: a path or s3:// URL.")]
SenonesOption = Annotated[
    int | None,
    typer.Option(min=2, max=LARGEST_SENONE + 1, help="Senones.  [default: the largest label, and one]"),
]


@imports.command()
def import_kaldi(
    train: Annotated[Path, typer.Option(help="Data directory of the train split.")],
    ali: Annotated[list[Path], typer.Option(help="Pdf-ids, .ark or .scp; may be given several times.")],
    out: OutOption,
    cv: Annotated[Path | None, typer.Option(help="Data directory of the cv split.")] = None,
    test: Annotated[Path | None, typer.Option(help="Data directory of the test split.")] = None,
    senones: SenonesOption = None,
) -> None:
    """Make a corpus of Kaldi data directories and alignments: its features, its pdf-ids, text and speakers.

    A data directory has feats.scp, utt2spk and text, as after steps/make_fbank.sh or make_mfcc.sh. Features
    are taken as they are: apply cmvn, deltas or transforms before, where a model is to see them.

    --ali is what ali-to-pdf writes, archives or scripts, in which utterances of all splits may be mixed,
    since an id tells them apart. What has no alignment of the same number of frames is left out and listed,
    in the test split, too. --senones is what `am-info final.mdl` calls pdfs.

        ali-to-pdf exp/tri4b_ali/final.mdl "ark:gunzip -c exp/tri4b_ali/ali.*.gz|" ark:pdf.ark
        softstore corpus import-kaldi --train data/train_tr95 --cv data/train_cv05 --ali pdf.ark --out corpus
    """
    console = Console()
    with stages(console) as show:
        found = find_kaldi(_splits(train, cv, test), ali, show)
        written = write_labelled("kaldi", found, out, senones=senones, progress=show)
    _print(out, written, console)


@imports.command()
def import_lhotse(
    train: Annotated[Path, typer.Option(help="Cuts of the train split: .jsonl or .jsonl.gz.")],
    out: OutOption,
    cv: Annotated[Path | None, typer.Option(help="Cuts of the cv split.")] = None,
    test: Annotated[Path | None, typer.Option(help="Cuts of the test split.")] = None,
    labels: Annotated[str, typer.Option(help="The custom field with a senone for each frame.")] = "pdf",
    senones: SenonesOption = None,
) -> None:
    """Make a corpus of lhotse cuts: each is an utterance, with text and speaker of its supervisions.

    Features are the cut's, as they are. Where it has none, they are 40 log-mel energies every 10 ms, made
    from its recording at 16 kHz, and labels are wanted for 1 + (samples - 400) // 160 frames.

    Labels are a custom field of the cut: a temporal array, an array, or a list of integers. What has no
    labels of the same number of frames is left out and listed.

        softstore corpus import-lhotse --train cuts_train.jsonl.gz --cv cuts_dev.jsonl.gz --out corpus
    """
    console = Console()
    with stages(console) as show:
        found = find_lhotse(_splits(train, cv, test), labels, show)
        written = write_labelled("lhotse", found, out, senones=senones, progress=show)
    _print(out, written, console)


@imports.command()
def export_kaldi(
    corpus: Annotated[str, typer.Argument(help="Corpus: a path or URL.")],
    out: Annotated[Path, typer.Option(help="The directory to make.")],
    token: TokenOption = None,
) -> None:
    """Write a corpus as Kaldi data directories, one for each split, with its senones as pdf-ids.

    In each are feats.scp and feats.ark, text, utt2spk, spk2utt, frame_shift, and pdf.ark.

    Read again with as many senones, it is the same corpus.

        softstore corpus export-kaldi runs/demo/corpus --out data
        softstore corpus import-kaldi --train data/train --ali data/train/pdf.ark --senones 2008 --out again
    """
    console = Console()
    opened = Corpus.open(corpus, token=token)
    with _bar(console) as bar:
        task = bar.add_task("Writing utterances", total=len(opened))
        written = write_kaldi(opened, out, lambda utterances: bar.advance(task, utterances))
    counts = ", ".join(f"{split} {utterances:,}" for split, utterances in sorted(written.items()))
    console.print(
        f"{out}: {counts} utterances; {opened.class_count:,} pdfs.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _splits(train: Path, cv: Path | None, test: Path | None) -> dict[str, Path]:
    named = {"train": train, "cv": cv, "test": test}
    return {split: path for split, path in named.items() if path is not None}


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _print(out: str, written: bool, console: Console) -> None:
    if not written:
        console.print(f"Nothing to do: {out} is finished.", highlight=False, markup=False, soft_wrap=True)
    print_corpus(Corpus.open(out), console)
