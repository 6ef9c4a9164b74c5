"""Several teachers as one: the weighted mean of their posteriors over the utterances they have in common.

    arithmetic    p_T = Σ w_m p_m,T               each teacher softened by itself, then mixed
    geometric     log p_T = Σ w_m log p_m,T - log Z     Z makes every row sum to 1

Hinton, Vinyals & Dean 2014 name both as soft targets of an ensemble (section 1). The geometric mean of
softened posteriors is the softened geometric mean; the arithmetic mean is not: mixing first and softening
then would let the surest teacher decide.

KL divergence is convex, so an arithmetic mixture of stored posteriors is no further from the mixture of the
teachers' own than the weighted mean of what the stores' certificates say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from softstore.encoding import is_certificate
from softstore.errors import ConflictError, InvalidInputError, NotFoundError
from softstore.selection import Selection, select
from softstore.store import Store
from softstore.utterance import SoftTargets, StoredUtterance

Mean = Literal["arithmetic", "geometric"]


@dataclass(frozen=True, slots=True)
class EnsembleUtterance(SoftTargets):
    """An utterance that all stores of an ensemble have; features and labels are those of the first.

    Attributes:
        members: the same utterance in each store.
        weights: of the members; they sum to 1.
    """

    members: Sequence[StoredUtterance]
    weights: Sequence[float]
    mean: Mean

    def _decode(self, temperature: float, start: int, stop: int, *, log: bool = True) -> Tensor:
        teachers = (member._decode(temperature, start, stop) for member in self.members)
        mixed = mixture(teachers, self.weights, self.mean)
        return mixed if log else mixed.exp_()


def mixture(log_posteriors: Iterable[Tensor], weights: Sequence[float], mean: Mean) -> Tensor:
    """The mean of several teachers' log p_T, each (frames, classes): the same shape, every row normalised.

    Args:
        weights: of the teachers; they sum to 1.
    """
    teachers = zip(log_posteriors, weights, strict=True)
    mixed, weight = next(teachers)
    if mean == "geometric":
        mixed = weight * mixed
        for other, weight in teachers:
            mixed += weight * other
        return torch.log_softmax(mixed, dim=-1)
    mixed = mixed + math.log(weight)
    for other, weight in teachers:
        torch.logaddexp(mixed, other + math.log(weight), out=mixed)
    return mixed


class Ensemble:
    """The soft targets of several teachers over the same utterances, with the face of a `Store`.

    ``ensemble[utterance_id]`` is an utterance; ``len`` and ``in`` work as for a dict. It holds the utterances
    that all stores have, in the order of the first one, with the manifest columns of the first one but for
    its certificate.

        teachers = [softstore.open("runs/dnn/store"), softstore.open("runs/lstm/store")]
        ensemble = softstore.Ensemble(teachers, weights=[1, 2])
        ensemble["cv-0001"].posteriors(temperature=2.0)

    Args:
        stores: at least one.
        weights: one for each store, above 0, in any unit: divided by their sum. All the same if not given.
        mean: how posteriors are mixed, see `softstore.ensemble`.

    Raises:
        InvalidInputError: no store, or weights that cannot be used.
        ConflictError: the stores differ in class count or frame shift, have no utterance in common, or one of
            them has other features or another number of frames.
    """

    def __init__(
        self, stores: Sequence[Store], weights: Sequence[float] | None = None, mean: Mean = "arithmetic"
    ) -> None:
        self.weights = _checked(stores, weights, mean)
        self.stores = tuple(stores)
        self.mean: Mean = mean
        self.table = _common(self.stores)
        self._rows = {name: row for row, name in enumerate(self.table["utterance_id"].to_pylist())}

    @property
    def class_count(self) -> int:
        """Senones: the width of a row of posteriors."""
        return self.stores[0].class_count

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self._rows

    def __getitem__(self, utterance_id: str) -> EnsembleUtterance:
        """Raises `NotFoundError` if there is no such utterance in one of the stores."""
        if utterance_id not in self._rows:
            lacking = [store.url for store in self.stores if utterance_id not in store]
            raise NotFoundError(f"There is no utterance {utterance_id!r} in {', '.join(lacking)}.")
        return self._utterance(self.table.slice(self._rows[utterance_id], 1).to_pylist()[0])

    def utterances(
        self, where: pc.Expression | None = None, /, **equals: Any
    ) -> Selection[EnsembleUtterance]:
        """As `softstore.Store.utterances`."""
        return Selection(select(self.table, where, equals), self._utterance)

    def scan(self, where: pc.Expression | None = None, /, **equals: Any) -> Iterator[EnsembleUtterance]:
        """As `softstore.Store.scan`."""
        return iter(self.utterances(where, **equals))

    def _utterance(self, row: Mapping[str, Any]) -> EnsembleUtterance:
        members = [store[row["utterance_id"]] for store in self.stores]
        return EnsembleUtterance(self.stores[0].frames, row, members, self.weights, self.mean)


def ensemble_utterance(
    stores: Sequence[Store],
    utterance_id: str,
    weights: Sequence[float] | None = None,
    mean: Mean = "arithmetic",
) -> EnsembleUtterance:
    """One utterance of the `Ensemble` of these stores, without a look at all the others.

    Raises:
        NotFoundError: a store does not have it.
        InvalidInputError, ConflictError: as `Ensemble`, as far as this utterance goes.
    """
    normalised = _checked(stores, weights, mean)
    _check_attributes(stores)
    members = [store[utterance_id] for store in stores]
    first, *others = members
    for store, member in zip(stores[1:], others, strict=True):
        for column, what in _SAME.items():
            _check_same(utterance_id, what, first.row.get(column), member.row.get(column), stores[0], store)
    row = {name: value for name, value in first.row.items() if not is_certificate(name)}
    return EnsembleUtterance(stores[0].frames, row, members, normalised, mean)


_SAME = {"num_frames": "another number of frames", "features_crc32c": "other features"}
"""Columns that must not differ between the stores, and what it means if they do."""


def _checked(stores: Sequence[Store], weights: Sequence[float] | None, mean: Mean) -> tuple[float, ...]:
    """The weights, normalised."""
    if not stores:
        raise InvalidInputError("An ensemble needs at least one store.")
    if mean not in ("arithmetic", "geometric"):
        raise InvalidInputError(f"The mean of an ensemble is arithmetic or geometric, not {mean!r}.")
    return _normalised([1.0] * len(stores) if weights is None else weights, len(stores))


def _check_attributes(stores: Sequence[Store]) -> None:
    first, *others = stores
    for store in others:
        for what in ("class_count", "frame_shift"):
            ours, theirs = getattr(first.attributes, what), getattr(store.attributes, what)
            if ours != theirs:
                name = what.replace("_", " ")
                raise ConflictError(f"{first.url} has {name} {ours}, {store.url} has {name} {theirs}.")


def _check_same(utterance_id: str, what: str, ours: Any, theirs: Any, first: Store, store: Store) -> None:
    # A store without features has nothing to compare.
    if None not in (ours, theirs) and ours != theirs:
        raise ConflictError(
            f"Utterance {utterance_id!r} has {what} in {store.url} than in {first.url}: the "
            "teachers of an ensemble must have seen the same corpus."
        )


def _normalised(weights: Sequence[float], stores: int) -> tuple[float, ...]:
    if len(weights) != stores:
        raise InvalidInputError(f"There are {stores} stores, but {len(weights)} weights.")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise InvalidInputError(f"Weights must be finite and above 0, not {list(weights)}.")
    largest = max(weights)
    scaled = [float(weight / largest) for weight in weights]
    normalised = tuple(weight / math.fsum(scaled) for weight in scaled)
    if min(normalised) == 0:
        raise InvalidInputError(
            f"Weights of {min(weights)} beside {largest} are as good as none: leave them out."
        )
    return normalised


def _common(stores: Sequence[Store]) -> pa.Table:
    """The rows of the first store's manifest that all have, without its certificate."""
    _check_attributes(stores)
    first, *others = stores
    for store in others:
        for column, what in _SAME.items():
            ours, theirs = first.manifest.by_utterance(column), store.manifest.by_utterance(column)
            for utterance_id, value in ours.items():
                _check_same(utterance_id, what, value, theirs.get(utterance_id), first, store)
    table = first.manifest.table
    common = [all(name in store for store in others) for name in table["utterance_id"].to_pylist()]
    if not any(common):
        raise ConflictError(f"No utterance is in all of {', '.join(store.url for store in stores)}.")
    certificate = [name for name in table.column_names if is_certificate(name)]
    return table.filter(pa.array(common, pa.bool_())).drop_columns(certificate)
