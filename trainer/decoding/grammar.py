"""The language model as an acceptor of words, G."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softstore.errors import InvalidInputError
from trainer.decoding.libraries import library
from trainer.decoding.ngram import BEGIN, END

BACKOFF = "#0"
"""Read where the model falls back to a shorter history: so that G stays deterministic (Mohri et al. 2002)."""

EPSILON = "<eps>"
RESERVED = frozenset({BEGIN, END, BACKOFF, EPSILON})
"""What stands for no word."""


def grammar_fst(arpa: str, words: Mapping[str, int], name: str) -> Any:
    """G: an ARPA file's text → a kaldifst transducer, word ids in and out.

    Args:
        words: word → id, from 1; n-grams with other words are left out. The ids of `BACKOFF`, `BEGIN` and
            `END` follow.
        name: what the file is called where it cannot be read.

    Raises:
        InvalidInputError: it is no ARPA file, or none of its words is known.
    """
    kaldifst = library("kaldifst")
    library("kaldilm")
    symbols = [EPSILON, *words, BACKOFF, BEGIN, END]
    with tempfile.TemporaryDirectory() as directory:
        table, file = Path(directory, "words.txt"), Path(directory, "lm.arpa")
        numbered = "".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols))
        table.write_text(numbered, encoding="utf-8")
        file.write_text(arpa, encoding="utf-8")
        # In a process of its own, as it ends the one that gives it something else than an ARPA file.
        command = [sys.executable, "-m", "kaldilm", f"--disambig-symbol={BACKOFF}"]
        command += [f"--read-symbol-table={table}", "--max-arpa-warnings=0", str(file)]
        done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise InvalidInputError(f"{name} is not a language model in the ARPA format.")
    arcs = done.stdout.decode()
    if not any(_reads_word(line.split(), len(words)) for line in arcs.splitlines()):
        raise InvalidInputError(f"{name} knows none of the lexicon's words: are they spelt alike?")
    grammar = kaldifst.compile(arcs)
    kaldifst.arcsort(grammar, "ilabel")
    return grammar


def _reads_word(arc: list[str], words: int) -> bool:
    """Whether a line of a transducer's text, from, to, in, out and cost, is an arc that reads a word."""
    return len(arc) >= 4 and 1 <= int(arc[2]) <= words
