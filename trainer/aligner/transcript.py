"""All ways a transcript may be spoken: its phones as a graph, then its HMM states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.alignment import SILENCE, STATES

START = -1
"""The predecessor of whatever phone may come first."""

Lexicon = Mapping[str, Sequence[tuple[str, ...]]]
Tying = Callable[[str, str, str], NDArray[np.int32]]
"""(left, phone, right) → the distribution of each of the phone's states, shape (STATES,)."""


@dataclass(frozen=True, slots=True)
class PhoneGraph:
    """Phones in the order they may follow each other; every path from `START` to a final phone is a reading.

    Attributes:
        phones: the phone at each node, predecessors before successors.
        previous: the nodes, or `START`, that each node may follow.
        finals: the nodes that may come last.
    """

    phones: tuple[str, ...]
    previous: tuple[tuple[int, ...], ...]
    finals: tuple[int, ...]


def phone_graph(words: Sequence[str], lexicon: Lexicon) -> PhoneGraph:
    """Pronunciation variants side by side; silence is optional around every word.

    Raises:
        KeyError: a word has no pronunciation.
    """
    phones: list[str] = []
    previous: list[tuple[int, ...]] = []

    def add(phone: str, after: list[int]) -> int:
        phones.append(phone)
        previous.append(tuple(after))
        return len(phones) - 1

    ends = [START]
    ends.append(add(SILENCE, ends))
    for word in words:
        word_ends = []
        for pronunciation in lexicon[word]:
            tail = ends
            for phone in pronunciation:
                tail = [add(phone, tail)]
            word_ends += tail
        ends = [*word_ends, add(SILENCE, word_ends)]
    return PhoneGraph(tuple(phones), tuple(previous), tuple(end for end in ends if end != START))


def shortest_reading(words: Sequence[str], lexicon: Lexicon) -> int:
    """How few phones the words can be spoken with."""
    return sum(min(map(len, lexicon[word])) for word in words)


@dataclass(frozen=True, slots=True)
class StateGraph:
    """`STATES` HMM states per phone node, each state able to repeat.

    Attributes:
        phones: the phone of each node; node i has the states ``i * STATES`` … ``i * STATES + STATES - 1``.
        distributions: shape (states,), int32: which mixture each state emits from.
        entered_from: shape (nodes, most), int32: the last states of the nodes that each node may follow,
            filled up with the node's own first state.
        initial, final: the states an utterance may begin and end in.
    """

    phones: tuple[str, ...]
    distributions: NDArray[np.int32]
    entered_from: NDArray[np.int32]
    initial: NDArray[np.int32]
    final: NDArray[np.int32]


def state_graph(graph: PhoneGraph, tying: Tying, in_context: bool) -> StateGraph:
    """Expand phones into states; if in context, with one copy of a phone per pair of neighbours it may have.

    A copy that expects a right neighbour leads only to that phone, and to the copy of it that expects
    this phone on its left; silence needs no copies as it has no context.
    """
    copies = _in_context(graph) if in_context else [(node, None, None) for node in range(len(graph.phones))]
    by_node: dict[int, list[int]] = {}
    for index, (node, _, _) in enumerate(copies):
        by_node.setdefault(node, []).append(index)

    sources: list[list[int]] = []
    initial: list[int] = []
    for index, (node, left, _) in enumerate(copies):
        before = [
            other
            for previous in graph.previous[node]
            if previous != START and left in (graph.phones[previous], None)
            for other in by_node[previous]
            if copies[other][2] in (graph.phones[node], None)
        ]
        if START in graph.previous[node] and left in (SILENCE, None):
            initial.append(index * STATES)
        sources.append([other * STATES + STATES - 1 for other in before])

    most = max(map(len, sources))
    last = [i for node in graph.finals for i in by_node[node] if copies[i][2] in (SILENCE, None)]
    distributions = [
        tying(left or SILENCE, graph.phones[node], right or SILENCE) for node, left, right in copies
    ]
    return StateGraph(
        phones=tuple(graph.phones[node] for node, _, _ in copies),
        distributions=np.concatenate(distributions).astype(np.int32),
        entered_from=np.array(
            [row + [index * STATES] * (most - len(row)) for index, row in enumerate(sources)], dtype=np.int32
        ).reshape(len(copies), most),
        initial=np.array(initial, dtype=np.int32),
        final=np.array([i * STATES + STATES - 1 for i in last], dtype=np.int32),
    )


def _in_context(graph: PhoneGraph) -> list[tuple[int, str | None, str | None]]:
    """(node, left phone, right phone) for every pair of neighbours; None where the phone has no context."""
    following: list[set[str]] = [set() for _ in graph.phones]
    for node, previous in enumerate(graph.previous):
        for before in previous:
            if before != START:
                following[before].add(graph.phones[node])
    for node in graph.finals:
        following[node].add(SILENCE)

    copies: list[tuple[int, str | None, str | None]] = []
    for node, phone in enumerate(graph.phones):
        if phone == SILENCE:
            copies.append((node, None, None))
            continue
        lefts = {SILENCE if before == START else graph.phones[before] for before in graph.previous[node]}
        copies += [(node, left, right) for left in sorted(lefts) for right in sorted(following[node])]
    return copies
