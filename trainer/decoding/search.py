"""Beam search through a decoding graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.decoding.libraries import library


@dataclass(frozen=True, slots=True)
class Width:
    """How many hypotheses are followed.

    Attributes:
        beam: those that cost so much more than the best one are given up; in units of the graph, nats.
        max_active: at a time.
    """

    beam: float
    max_active: int


WIDE = Width(15.0, 7000)
"""As Kaldi's recipes decode DNNs."""

NARROW = Width(13.0, 2500)
"""Three to four times as fast, a tenth more errors: good enough to compare settings."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tuned.

    Attributes:
        lm_weight: how many times the graph's log-probabilities, which the language model dominates, count as
            much as the acoustic ones: the acoustic scale is its inverse, as Kaldi counts.
        insertion_penalty: what each word costs beside, in units of the graph.
    """

    lm_weight: float
    insertion_penalty: float

    @property
    def acoustic_scale(self) -> float:
        return 1 / self.lm_weight


class Decoder:
    """Finds the words of an utterance at a setting.

    Args:
        graph: see `trainer.decoding.graph`.
        words: the words with the ids 1, 2, ….
    """

    def __init__(self, graph: Any, words: Sequence[str], setting: Setting, width: Width = WIDE) -> None:
        self.setting = setting
        self._words = words
        # The decoder does not keep it.
        self._graph = _penalised(graph, len(words), setting.insertion_penalty)
        library("kaldifst")  # Knows the type of its paths.
        decoder = library("kaldi_decoder")
        options = decoder.FasterDecoderOptions(beam=width.beam, max_active=width.max_active)
        self._decoder = decoder.FasterDecoder(self._graph, options)

    def decode(self, log_likelihoods: NDArray[np.float32]) -> list[str]:
        """The words of the best path, which ends a sentence if any that is left does; none if none is left.

        Args:
            log_likelihoods: log p(s | x) - log p(s), up to a constant of each frame, (frames, senones).
        """
        if not len(log_likelihoods):
            return []
        scaled = np.ascontiguousarray(log_likelihoods * self.setting.acoustic_scale, np.float32)
        self._decoder.decode(library("kaldi_decoder").DecodableCtc(scaled))
        found, path = self._decoder.get_best_path()
        if not found:
            return []
        _, _, numbers, _ = library("kaldifst").get_linear_symbol_sequence(path)
        return [self._words[number - 1] for number in numbers]


def _penalised(graph: Any, words: int, penalty: float) -> Any:
    """The graph with a cost on every word: one state behind it, which reads and writes words."""
    if not penalty:
        return graph
    kaldifst = library("kaldifst")
    lines = [f"0 0 {word} {word} {penalty}" for word in range(1, words + 1)]
    return kaldifst.compose(graph, kaldifst.compile("\n".join([*lines, "0"]) + "\n"), match_side="right")
