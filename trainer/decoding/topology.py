"""How a phone's states follow one another, as the corpus's own alignment says.

Every phone has `STATES` states from left to right. A corpus aligned by an HMM passes through all of them; the
synthetic one, whose phone times are exact, has phones too short for that. So the moves between states are
counted in training labels: what never happens is no part of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.alignment import SILENCE, STATES
from trainer.senones import SenoneTree

Hmm = tuple[int, ...]
"""The senones of a phone's states, in some context."""

Costs = NDArray[np.float64]
"""-log p of each move that leaves a state, infinite where it never happens: (2, STATES + 1, STATES + 1), of
speech and of silence; from the begin or state i - 1; to state j or the end. Staying costs nothing."""


def move_costs(labels: Iterable[NDArray[np.integer]], tree: SenoneTree) -> Costs:
    """Estimated from utterances' labels, each (frames,).

    One is added to the moves from each state to the next, so that there is a way through.
    """
    places = [tree.phone_and_state(senone) for senone in range(tree.num_senones)]
    phones = {phone: number for number, phone in enumerate(tree.phones)}
    phone_of = np.array([phones[phone] for phone, _ in places])
    state_of = np.array([state for _, state in places])
    is_silence = np.array([phone == SILENCE for phone, _ in places]).astype(np.int64)
    counts = np.zeros((2, STATES + 1, STATES + 1)) + np.eye(STATES + 1)
    for utterance in labels:
        changes = np.flatnonzero(np.diff(utterance.astype(np.int64), prepend=-1))
        visited = utterance[changes]
        phone, state, kind = phone_of[visited], state_of[visited], is_silence[visited]
        begins = np.ones(len(visited), np.bool_)
        begins[1:] = (phone[1:] != phone[:-1]) | (state[1:] <= state[:-1])
        ends = np.append(begins[1:], True)
        inside = np.flatnonzero(~begins)
        np.add.at(counts, (kind[begins], 0, state[begins]), 1)
        np.add.at(counts, (kind[ends], state[ends] + 1, STATES), 1)
        np.add.at(counts, (kind[inside], state[inside - 1] + 1, state[inside]), 1)
    with np.errstate(divide="ignore"):
        costs: Costs = -np.log(counts / counts.sum(axis=-1, keepdims=True))
    return costs


def hmm_fst(hmms: Sequence[Hmm], silent: Sequence[bool], costs: Costs, symbols: Iterable[int]) -> str:
    """H in OpenFst's text form: senone + 1 of every frame in, number of the HMM out, from 1.

    Args:
        silent: which of the HMMs are silence's.
        symbols: disambiguation symbols, which are read without a frame.
    """
    lines = [f"0 0 0 {symbol}" for symbol in symbols]
    for number, (hmm, silence) in enumerate(zip(hmms, silent, strict=True), start=1):
        lines += _states(number, hmm, costs[int(silence)])
    return "\n".join([*lines, "0"]) + "\n"


def _states(number: int, hmm: Hmm, costs: Costs) -> Iterator[str]:
    # The graph's state after a frame of the phone's state; 0 before the first one and after the last one.
    states = [1 + STATES * (number - 1) + state for state in range(STATES)]
    for state, cost in enumerate(costs[0, :STATES]):
        if np.isfinite(cost):
            yield f"0 {states[state]} {hmm[state] + 1} {number} {cost}"
    for state, here in enumerate(states):
        yield f"{here} {here} {hmm[state] + 1} 0"
        for following, cost in enumerate(costs[state + 1, :STATES]):
            if np.isfinite(cost):
                yield f"{here} {states[following]} {hmm[following] + 1} 0 {cost}"
        if np.isfinite(costs[state + 1, STATES]):
            yield f"{here} 0 0 0 {costs[state + 1, STATES]}"
