"""How two training runs differ that should have come to the same, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoint import WEIGHTS, load_model
from trainer.metrics_files import METRICS, STEPS
from trainer.training_state import load_state

_TIMES = ("seconds", "waited", "frames_per_second", "data_wait")


@dataclass(frozen=True, slots=True)
class Differences:
    """Between a run and one that is right.

    Attributes:
        weights: numbers of the model that have other bits; 1 at least if its file has other bytes.
        state: numbers of its last state that have other bits, and 1 if its progress differs.
        lines: of the metrics of epochs and updates. Times are left out, here and of the progress.
        files: that only the run has, such as temporary ones.
    """

    weights: int
    state: int
    lines: int
    files: int


def differences(run: Path, right: Path) -> Differences:
    """Raises a `SoftstoreError` if either has no whole model, or one whose files do not belong together."""
    same_file = (run / WEIGHTS).read_bytes() == (right / WEIGHTS).read_bytes()
    ours, theirs = load_state(run), load_state(right)
    assert ours is not None
    assert theirs is not None
    lines = [zip_longest(_lines(run / name), _lines(right / name)) for name in (METRICS, STEPS)]
    return Differences(
        weights=max(
            _numbers(load_model(run).model.state_dict(), load_model(right).model.state_dict()), not same_file
        ),
        state=_numbers(ours.tensors, theirs.tensors)
        + (_timeless(ours.progress) != _timeless(theirs.progress)),
        lines=sum(our != their for pairs in lines for our, their in pairs),
        files=len({file.name for file in run.iterdir()} - {file.name for file in right.iterdir()}),
    )


def _numbers(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> int:
    """How many have other bits; of a tensor that is not in both, or of another kind, all have."""
    total = 0
    for name in {*ours, *theirs}:
        pair = [tensors[name] for tensors in (ours, theirs) if name in tensors]
        if len({(tensor.shape, tensor.dtype) for tensor in pair}) == 1 == len(pair) - 1:
            bits, others = (tensor.reshape(-1, 1).view(torch.uint8) for tensor in pair)
            total += int((bits != others).any(dim=1).sum())
        else:
            total += max(tensor.numel() for tensor in pair)
    return total


def _lines(path: Path) -> list[Any]:
    return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(part) for name, part in value.items() if name not in _TIMES}
    return [_timeless(part) for part in value] if isinstance(value, list) else value
