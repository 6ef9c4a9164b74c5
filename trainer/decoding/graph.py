"""HCLG: from senones to words (Mohri, Pereira & Riley 2002).

L ∘ G is made deterministic and minimal; C turns phones into triphones; triphones whose states share all their
senones become one HMM, which makes the graph small again before it is made deterministic and minimal once
more; H, with the states' self-loops, comes last. All of it is exact: the best path is that of the models
themselves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softstore.errors import InvalidInputError, StorageError
from softstore.metadata import canonical_json
from trainer.alignment import SILENCE
from trainer.decoding.grammar import grammar_fst
from trainer.decoding.lexicon import Lexicon
from trainer.decoding.libraries import library
from trainer.decoding.topology import Costs, Hmm, hmm_fst
from trainer.senones import SenoneTree

_RECIPE = 1
"""Counts up when the same parts make another graph."""

_TRIPHONE, _CENTRE = 3, 1


def decoding_graph(
    lexicon: Lexicon, tree: SenoneTree, costs: Costs, arpa: str, arpa_name: str, directory: Path
) -> Any:
    """The graph of these parts as a kaldifst transducer: senone + 1 of every frame in, word ids out.

    Args:
        arpa: the language model as the text of an ARPA file, and what it is called.
        directory: where graphs are kept: one that is there already is read, by the checksum of its parts.

    Raises:
        InvalidInputError: the language model cannot be read, or knows none of the words.
        StorageError: the graph cannot be written.
    """
    kaldifst = library("kaldifst")
    parts = {
        "recipe": _RECIPE,
        "lexicon": lexicon.fst(),
        "words": list(lexicon.words),
        "tree": tree.to_json(),
        "costs": str(costs.tolist()),
        "arpa": arpa,
    }
    name = hashlib.sha256(canonical_json(parts)).hexdigest()[:16]
    path = directory / f"HCLG-{name}.fst"
    if path.exists():
        kept = kaldifst.StdVectorFst.read(str(path))
        if kept is not None:
            return kept
    graph = compose(lexicon, tree, costs, grammar_fst(arpa, lexicon.words, arpa_name))
    if graph.start < 0:
        raise InvalidInputError(f"{arpa_name} has no sentence of the lexicon's words.")
    _keep(graph, path)
    return graph


def compose(lexicon: Lexicon, tree: SenoneTree, costs: Costs, grammar: Any) -> Any:
    """H ∘ C ∘ L ∘ G, sorted by word."""
    kaldifst = library("kaldifst")
    pronunciations = kaldifst.compile(lexicon.fst())
    kaldifst.arcsort(pronunciations, "olabel")
    phones = kaldifst.compose(pronunciations, grammar)
    _shrink(phones)
    triphones, windows = kaldifst.compose_context(list(lexicon.disambiguation), _TRIPHONE, _CENTRE, phones)
    kaldifst.arcsort(triphones, "ilabel")
    tied, hmms, silent, symbols = _tied(windows, lexicon.phones, tree)
    models = kaldifst.compose(kaldifst.compile(tied), triphones)
    _shrink(models)
    states = kaldifst.compile(hmm_fst(hmms, silent, costs, symbols))
    kaldifst.arcsort(states, "olabel")
    graph = kaldifst.compose(states, models)
    kaldifst.arcsort(graph, "olabel")
    return graph


def _shrink(graph: Any) -> None:
    kaldifst = library("kaldifst")
    kaldifst.determinize_star(graph)
    kaldifst.minimize_encoded(graph)
    kaldifst.arcsort(graph, "ilabel")


def _tied(
    windows: list[list[int]], phones: Mapping[str, int], tree: SenoneTree
) -> tuple[str, list[Hmm], list[bool], list[int]]:
    """What the context windows have in common.

    Returns:
        a transducer from the numbers of HMMs to those of windows, sorted by the latter; the HMMs; which of
        them are silence's; and the numbers that stand for disambiguation symbols.
    """
    name_of = {number: phone for phone, number in phones.items()} | {0: SILENCE}
    numbers: dict[Hmm, int] = {}
    silent: list[bool] = []
    into: dict[int, int] = {}
    for window, symbols in enumerate(windows):
        if len(symbols) == _TRIPHONE:
            left, phone, right = (name_of[symbol] for symbol in symbols)
            if phone == SILENCE:
                left = right = SILENCE
            hmm: Hmm = tuple(tree.senones(left, phone, right).tolist())
            if hmm not in numbers:
                numbers[hmm] = len(numbers) + 1
                silent.append(phone == SILENCE)
            into[window] = numbers[hmm]
    others = [window for window, symbols in enumerate(windows) if 0 < len(symbols) < _TRIPHONE]
    into |= {window: len(numbers) + 1 + place for place, window in enumerate(others)}
    lines = [f"0 0 {number} {window}" for window, number in sorted(into.items())]
    disambiguation = [into[window] for window in others]
    return "\n".join([*lines, "0"]) + "\n", list(numbers), silent, disambiguation


def _keep(graph: Any, path: Path) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not graph.write(str(temporary)):
            raise StorageError(f"{path} cannot be written: is the disk full?")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
