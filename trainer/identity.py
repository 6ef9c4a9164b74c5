"""What a training run is of: its configuration and its data. It goes on only under the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softstore.errors import ConflictError
from trainer.config import StudentConfig, TeacherConfig
from trainer.examples import Examples

_STORES = "stores"


def identity(config: TeacherConfig | StudentConfig, sources: Sequence[Examples]) -> dict[str, Any]:
    """All that was configured but ``loop``, and every store or corpus, in order; JSON values."""
    told = config.to_json()
    del told["loop"]
    return {**told, _STORES: [examples.identity() for examples in sources]}


def check_same(directory: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises `ConflictError` if the run in a directory, ``theirs``, is not of the same as ``ours``."""
    if differing := [key for key in _differing(ours, theirs) if key != _STORES]:
        raise ConflictError(
            f"{directory} holds a run with another {', '.join(differing)}: "
            "choose another directory, or remove that one."
        )
    if differing := list(_other_stores(ours[_STORES], theirs[_STORES])):
        raise ConflictError(
            f"{directory} holds a run on other data ({'; '.join(differing)}): "
            "name what it began with, in the same order, or choose another directory."
        )


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys, ``section.key``, of what is not the same in both."""
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            yield from _differing(mine, other, f"{prefix}{key}.")
        elif mine != other:
            yield prefix + key


def _other_stores(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is another than it was, store by store."""
    if len(ours) != len(theirs):
        yield f"stores: {len(theirs)} then, {len(ours)} now"
        return
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        if differing := list(_differing(mine, other)):
            yield f"store {number} had another {', '.join(differing)}"
