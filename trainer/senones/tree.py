"""The decision trees that map a phone in context and its state to a senone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from softstore.errors import FormatError, InvalidInputError
from trainer.alignment import SILENCE, STATES, Alignment

Side = Literal["left", "right"]
Contexts = tuple[frozenset[str], frozenset[str]]
"""The left and the right phones that lead to a leaf."""

NAMED_PHONES = 3
"""How many phones of each side a senone's name spells out."""


@dataclass(frozen=True, slots=True)
class Question:
    """Is the neighbour on that side one of these phones?"""

    side: Side
    phones: frozenset[str]
    yes: Node
    no: Node


Node = Question | int
"""A question, or the senone at a leaf."""


def contexts(phones: Sequence[str]) -> list[tuple[str, str]]:
    """The left and right neighbour of every phone of an utterance.

    Silence lies beyond both edges, and silence itself has no context: its neighbours count as silence.
    """
    padded = (SILENCE, *phones, SILENCE)
    return [
        (SILENCE, SILENCE) if phone == SILENCE else (padded[i], padded[i + 2])
        for i, phone in enumerate(phones)
    ]


@dataclass(frozen=True, slots=True)
class SenoneTree:
    """One tree per phone and HMM state; every leaf is a senone, so a senone has one phone and one state.

    Attributes:
        phones: every phone the tree can label; neighbours outside it answer every question with no.
        roots: phone → its `STATES` trees.
        num_senones: how many leaves there are in all, numbered from 0.
    """

    phones: tuple[str, ...]
    roots: Mapping[str, tuple[Node, ...]]
    num_senones: int
    _leaves: list[tuple[str, int, Contexts]] = field(init=False, repr=False, compare=False)
    _known: dict[tuple[str, str, str], NDArray[np.int32]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        everything = frozenset(self.phones)
        found: dict[int, tuple[str, int, Contexts]] = {}
        for phone, states in self.roots.items():
            for state, root in enumerate(states):
                for senone, reached_by in _leaves(root, (everything, everything)):
                    found[senone] = (phone, state, reached_by)
        if sorted(found) != list(range(self.num_senones)):
            raise FormatError(f"A senone tree must number its {self.num_senones} leaves from 0 without gaps.")
        object.__setattr__(self, "_leaves", [found[senone] for senone in range(self.num_senones)])

    def senones(self, left: str, phone: str, right: str) -> NDArray[np.int32]:
        """The senones of a phone's states between two neighbours, seen in training or not.

        Returns:
            Shape (STATES,), int32.

        Raises:
            InvalidInputError: the tree does not know the phone.
        """
        key = (left, phone, right)
        known = self._known.get(key)
        if known is None:
            if phone not in self.roots:
                raise InvalidInputError(
                    f"The senone tree has no phone {phone!r}; its phones: {' '.join(self.phones)}."
                )
            known = np.array([_descend(root, left, right) for root in self.roots[phone]], dtype=np.int32)
            self._known[key] = known
        return known

    def label(self, alignment: Alignment) -> NDArray[np.int32]:
        """The senone of every frame, shape (frames,), int32.

        Raises:
            InvalidInputError: the alignment holds a phone that the tree does not know.
        """
        if not alignment.phones:
            return np.zeros(0, dtype=np.int32)
        table = np.concatenate(
            [
                self.senones(left, phone, right)
                for phone, (left, right) in zip(alignment.phones, contexts(alignment.phones), strict=True)
            ]
        )
        return table[alignment.frame_states]

    def phone_and_state(self, senone: int) -> tuple[str, int]:
        """The phone and the state (0 … STATES - 1) a senone belongs to."""
        phone, state, _ = self._leaves[senone]
        return phone, state

    def name(self, senone: int) -> str:
        """A readable name such as ``AH[2] D|S|T…_N``: phone, state, left and right neighbours (* = any)."""
        phone, state, (left, right) = self._leaves[senone]
        return f"{phone}[{state}] {self._some(left)}_{self._some(right)}"

    def _some(self, phones: frozenset[str]) -> str:
        if len(phones) == len(self.phones):
            return "*"
        listed = sorted(phones)
        return "|".join(listed[:NAMED_PHONES]) + ("…" if len(listed) > NAMED_PHONES else "")

    def to_json(self) -> dict[str, object]:
        """JSON values: per phone and state a tree whose questions spell out their phones."""
        return {
            "states": STATES,
            "phones": list(self.phones),
            "num_senones": self.num_senones,
            "roots": {phone: [_node_to_json(root) for root in roots] for phone, roots in self.roots.items()},
        }

    @classmethod
    def from_json(cls, value: object) -> SenoneTree:
        """The tree that `to_json` wrote.

        Raises:
            FormatError: the value is not such a tree.
        """
        try:
            match value:
                case {
                    "states": int(states),
                    "phones": list(phones),
                    "num_senones": int(n),
                    "roots": dict(roots),
                }:
                    if states != STATES or any(len(trees) != STATES for trees in roots.values()):
                        raise FormatError(f"A senone tree has {STATES} states per phone; this one differs.")
                    parsed = {
                        str(phone): tuple(_node_from_json(tree) for tree in trees)
                        for phone, trees in roots.items()
                    }
                    return cls(tuple(str(phone) for phone in phones), parsed, n)
        except (TypeError, RecursionError) as error:
            raise FormatError("This is not a senone tree: its nodes are malformed.") from error
        raise FormatError("This is not a senone tree: states, phones, num_senones and roots are expected.")


def _descend(node: Node, left: str, right: str) -> int:
    while isinstance(node, Question):
        neighbour = left if node.side == "left" else right
        node = node.yes if neighbour in node.phones else node.no
    return node


def _leaves(node: Node, reached_by: Contexts) -> list[tuple[int, Contexts]]:
    if isinstance(node, int):
        return [(node, reached_by)]
    left, right = reached_by
    if node.side == "left":
        yes, no = (left & node.phones, right), (left - node.phones, right)
    else:
        yes, no = (left, right & node.phones), (left, right - node.phones)
    return _leaves(node.yes, yes) + _leaves(node.no, no)


def _node_to_json(node: Node) -> object:
    if isinstance(node, int):
        return {"senone": node}
    return {
        "side": node.side,
        "phones": sorted(node.phones),
        "yes": _node_to_json(node.yes),
        "no": _node_to_json(node.no),
    }


def _node_from_json(value: object) -> Node:
    match value:
        case {"senone": int(senone)}:
            return senone
        case {"side": "left" | "right" as side, "phones": list(phones), "yes": yes, "no": no}:
            return Question(side, frozenset(map(str, phones)), _node_from_json(yes), _node_from_json(no))
    raise FormatError("A node of a senone tree is neither a leaf nor a question.")
