"""The best path of many utterances at once through the state graphs of their transcripts.

The graphs of a batch lie side by side on one axis of states, longest utterance first, so each frame takes
a handful of array operations whatever the shape of the graphs, and utterances that have ended fall off
the end. Moves carry no cost: durations and readings are left to the acoustics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.aligner.mixtures import Mixtures
from trainer.aligner.transcript import StateGraph
from trainer.alignment import STATES, Alignment

BATCH_CELLS = 8_000_000
"""Frames of the longest utterance times states: how large a batch's trellis may be (32 MB)."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Path:
    """An utterance's best path.

    Attributes:
        states: shape (frames,), int32: states of its `StateGraph`.
        log_likelihood: of all frames along the path.
    """

    states: NDArray[np.int32]
    log_likelihood: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Utterances of similar length and the union of their state graphs.

    Attributes:
        members: the utterances, as indices into the corpus, longest first.
        graphs: the state graph of each member.
        state_offsets: shape (members + 1,): where each member's states begin.
        entered_from: shape (most, nodes): as in `StateGraph`, of the whole batch, transposed.
    """

    members: tuple[int, ...]
    graphs: tuple[StateGraph, ...]
    state_offsets: NDArray[np.int64]
    entered_from: NDArray[np.int64]


def batches(frames: Sequence[int], graphs: Sequence[StateGraph]) -> list[Batch]:
    """Group utterances of these lengths so that no trellis grows past `BATCH_CELLS`."""
    result: list[Batch] = []
    members: list[int] = []
    states = 0
    for index in sorted(range(len(frames)), key=lambda i: (-frames[i], i)):
        own = len(graphs[index].distributions)
        if members and frames[members[0]] * (states + own) > BATCH_CELLS:
            result.append(_union(members, graphs))
            members, states = [], 0
        members.append(index)
        states += own
    if members:
        result.append(_union(members, graphs))
    return result


def viterbi(model: Mixtures, features: Sequence[Floats], groups: Sequence[Batch], workers: int) -> list[Path]:
    """The best path of every utterance.

    Args:
        features: shape (frames, dims) per utterance; each at least as long as its graph's shortest path.
        groups: `batches` over the same utterances.
        workers: threads (the array operations release the interpreter lock).

    Returns:
        One path per utterance, in the order of the features, the same for any number of workers.
    """
    paths: list[Path | None] = [None] * len(features)

    def search(batch: Batch) -> list[Path]:
        return _search(model, [features[index] for index in batch.members], batch)

    for batch, found in zip(groups, _in_threads(search, groups, workers), strict=True):
        for index, path in zip(batch.members, found, strict=True):
            paths[index] = path
    return [path for path in paths if path is not None]


def as_alignment(graph: StateGraph, path: Path) -> Alignment:
    """The phones along a path and the state of every frame."""
    nodes, states = np.divmod(path.states, STATES)
    entered = np.diff(nodes, prepend=-1) != 0
    position = np.cumsum(entered) - 1
    phones = tuple(graph.phones[node] for node in nodes[entered])
    return Alignment(phones, (position * STATES + states).astype(np.int32))


def _union(members: Sequence[int], graphs: Sequence[StateGraph]) -> Batch:
    chosen = tuple(graphs[index] for index in members)
    state_offsets = np.cumsum([0, *(len(graph.distributions) for graph in chosen)])
    nodes = int(state_offsets[-1]) // STATES
    most = max(graph.entered_from.shape[1] for graph in chosen)
    entered_from = np.tile(np.arange(nodes) * STATES, (most, 1))
    for graph, offset in zip(chosen, state_offsets[:-1], strict=True):
        count, width = graph.entered_from.shape
        begin = offset // STATES
        entered_from[:width, begin : begin + count] = graph.entered_from.T + offset
    return Batch(tuple(members), chosen, state_offsets, entered_from)


def _search(model: Mixtures, features: list[Floats], batch: Batch) -> list[Path]:
    lengths = np.array([len(frames) for frames in features])
    trellis = _emissions(model, features, batch)
    # How many utterances reach each frame; the states of those that do come first.
    running = np.searchsorted(-lengths, -np.arange(len(trellis)), side="left")

    # Forward: each cell becomes its emission plus the best score that leads to it.
    allowed = np.zeros(trellis.shape[1], dtype=np.bool_)
    for graph, offset in zip(batch.graphs, batch.state_offsets[:-1], strict=True):
        allowed[graph.initial + offset] = True
    trellis[0, ~allowed] = -np.inf
    for frame in range(1, len(trellis)):
        states = batch.state_offsets[running[frame]]
        before = trellis[frame - 1, :states]
        best = before.copy()
        np.maximum(before[1:], before[:-1], out=best[1:])
        entering = before.take(batch.entered_from[:, : states // STATES]).max(axis=0)
        np.maximum(before[::STATES], entering, out=best[::STATES])
        trellis[frame, :states] += best

    # Backward: follow the best predecessor of every utterance's path at once.
    current = np.empty(len(features), dtype=np.int64)
    scores = np.empty(len(features), dtype=np.float64)
    for index, (graph, offset) in enumerate(zip(batch.graphs, batch.state_offsets[:-1], strict=True)):
        final = graph.final + offset
        last = trellis[lengths[index] - 1, final]
        current[index], scores[index] = final[last.argmax()], last.max()
    path = np.zeros((len(trellis), len(features)), dtype=np.int64)
    for frame in range(len(trellis) - 1, 0, -1):
        alive = current[: running[frame]]
        path[frame, : len(alive)] = alive
        earlier = np.where(alive % STATES, alive - 1, batch.entered_from[:, alive // STATES])
        options = np.concatenate([alive[None], earlier])
        choice = trellis[frame - 1, options].argmax(axis=0)
        alive[:] = options[choice, np.arange(len(alive))]
    path[0] = current
    return [
        Path((path[: lengths[i], i] - batch.state_offsets[i]).astype(np.int32), float(scores[i]))
        for i in range(len(features))
    ]


def _emissions(model: Mixtures, features: list[Floats], batch: Batch) -> Floats:
    trellis = np.empty((max(map(len, features)), int(batch.state_offsets[-1])), dtype=np.float32)
    for index, (frames, graph) in enumerate(zip(features, batch.graphs, strict=True)):
        distributions, columns = np.unique(graph.distributions, return_inverse=True)
        scores = model.log_likelihoods(frames, distributions)
        begin, end = batch.state_offsets[index], batch.state_offsets[index + 1]
        trellis[: len(frames), begin:end] = scores[:, columns]
    return trellis


def _in_threads(
    work: Callable[[Batch], list[Path]], groups: Iterable[Batch], workers: int
) -> Iterator[list[Path]]:
    with ThreadPoolExecutor(max_workers=workers) as pool:
        yield from pool.map(work, groups)
