"""Flat start → monophones → tied triphones: the models are trained on the very speech they are to align."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.aligner.mixtures import Grouped, Mixtures
from trainer.aligner.transcript import START, PhoneGraph, StateGraph, state_graph
from trainer.aligner.viterbi import Batch, Path, as_alignment, batches, viterbi
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.senones import TreeStatistics, grow_tree

MONOPHONE_PASSES = (1,) * 16 + (2,) * 3
TRIPHONE_PASSES = (1,) * 3 + (2,) * 2
"""Gaussians per distribution in each training pass; every pass aligns anew. Many passes with single Gaussians
let the phones find their place before mixtures can adapt to a wrong one."""

EM_STEPS = 2
"""Re-estimations per pass where mixtures have several Gaussians; they cost little beside the alignment."""

QUIET_AND_LOUD = (5, 95)
"""Percentiles of an utterance's loudness; the flat start calls a frame loud above the middle of the two."""

FRAMES_PER_STATE = 500
LEAST_FRAMES = 100
MOST_STATES = 2000
"""Size of the aligner's own triphone tree: one leaf per so many frames, none with
fewer than `LEAST_FRAMES`."""

Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stage:
    """Utterances, their transcripts' states under one way of tying, and the model trained so far.

    Attributes:
        features: shape (frames, dims) per utterance, normalised.
        graphs: one per utterance.
        groups: the same graphs, batched for the search.
        model: one mixture per distribution of the graphs.
        workers: threads for the search.
    """

    features: Sequence[Floats]
    graphs: Sequence[StateGraph]
    groups: Sequence[Batch]
    model: Mixtures
    workers: int

    def paths(self) -> list[Path]:
        return viterbi(self.model, self.features, self.groups, self.workers)

    def alignments(self, paths: Sequence[Path]) -> list[Alignment]:
        return [as_alignment(graph, path) for graph, path in zip(self.graphs, paths, strict=True)]


def monophones(features: Sequence[Floats], graphs: Sequence[PhoneGraph], workers: int) -> Stage:
    """One distribution per phone and state, trained from transcripts spread evenly over their utterances."""
    phones = sorted({phone for graph in graphs for phone in graph.phones} | {SILENCE})
    first = {phone: STATES * index for index, phone in enumerate(phones)}
    states = np.arange(STATES, dtype=np.int32)
    state_graphs = [
        state_graph(graph, lambda left, phone, right: first[phone] + states, False) for graph in graphs
    ]
    start = [_flat_start(graph, frames, first) for graph, frames in zip(graphs, features, strict=True)]
    logger.info("Monophones: %d phones, %d utterances", len(phones), len(features))
    return _train(
        features, state_graphs, np.concatenate(start), len(first) * STATES, MONOPHONE_PASSES, workers
    )


def triphones(
    features: Sequence[Floats], graphs: Sequence[PhoneGraph], alignments: Sequence[Alignment], workers: int
) -> Stage:
    """One distribution per leaf of a tree grown on these alignments, trained from there."""
    statistics = TreeStatistics(phone for graph in graphs for phone in graph.phones)
    for frames, alignment in zip(features, alignments, strict=True):
        statistics.accumulate(frames, alignment)
    roots = STATES * len(statistics.collected().phones)
    wanted = max(roots, min(sum(map(len, features)) // FRAMES_PER_STATE, MOST_STATES))
    tree = grow_tree(statistics, wanted, LEAST_FRAMES)
    state_graphs = [state_graph(graph, tree.senones, True) for graph in graphs]
    start = np.concatenate([tree.label(alignment) for alignment in alignments])
    logger.info("Triphones: %d tied states, %d utterances", tree.num_senones, len(features))
    return _train(features, state_graphs, start, tree.num_senones, TRIPHONE_PASSES, workers)


def _train(
    features: Sequence[Floats],
    graphs: Sequence[StateGraph],
    start: NDArray[np.int32],
    distributions: int,
    passes: Sequence[int],
    workers: int,
) -> Stage:
    """Viterbi training: align, re-estimate on what was aligned, again.

    Args:
        start: shape (all frames,): the distribution of every frame to begin with.
    """
    frames = np.concatenate(features)
    groups = batches([len(own) for own in features], graphs)
    model = Mixtures.single(Grouped.by_distribution(frames, start, distributions))
    for number, components in enumerate(passes, 1):
        paths = viterbi(model, features, groups, workers)
        likelihood = sum(path.log_likelihood for path in paths) / len(frames)
        logger.info("Pass %d of %d: log-likelihood %.3f per frame", number, len(passes), likelihood)
        aligned = [graph.distributions[path.states] for graph, path in zip(graphs, paths, strict=True)]
        grouped = Grouped.by_distribution(frames, np.concatenate(aligned), distributions)
        while model.components < components:
            model = model.doubled()
        for _ in range(EM_STEPS if components > 1 else 1):
            model = model.reestimated(grouped)
    return Stage(features, graphs, groups, model, workers)


def _flat_start(graph: PhoneGraph, features: Floats, first: dict[str, int]) -> NDArray[np.int32]:
    """A distribution for every frame before anything is known.

    Silence up to the first and after the last loud frame; between them the states of the transcript's first
    reading, equally long.
    """
    phones: list[str] = []
    node = graph.previous[graph.finals[-1]][0]
    while node != START:
        phones.append(graph.phones[node])
        node = graph.previous[node][0]
    loudness = features[:, 0]
    loud = np.flatnonzero(loudness >= np.percentile(loudness, QUIET_AND_LOUD).mean())
    begin, end = int(loud[0]), int(loud[-1]) + 1
    return np.concatenate(
        [
            _evenly([SILENCE], begin, first),
            _evenly(phones[::-1], end - begin, first),
            _evenly([SILENCE], len(features) - end, first),
        ]
    )


def _evenly(phones: Sequence[str], frames: int, first: dict[str, int]) -> NDArray[np.int32]:
    distributions = np.array(
        [first[phone] + state for phone in phones for state in range(STATES)], dtype=np.int32
    )
    return distributions[np.arange(frames) * len(distributions) // max(frames, 1)]
