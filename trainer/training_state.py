"""What a run needs to go on, on disk: one safetensors file beside the model, replaced whole.

A run that is killed at any moment leaves the state it saved last, in the middle of an epoch or after one:
``checkpoint.safetensors``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from softstore.errors import CorruptDataError
from trainer.checkpoint import write_whole

STATE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything a run needs to go on.

    Attributes:
        tensors: weights, the optimiser's, what a model carries from batch to batch, random state.
        progress: schedule, position, history and configuration; JSON values.
    """

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def save_state(directory: Path, state: TrainingState) -> None:
    """Replace the directory's training state."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    metadata = {"progress": json.dumps(state.progress)}
    write_whole(directory / STATE, safetensors.torch.save(tensors, metadata))


def load_state(directory: Path) -> TrainingState | None:
    """The directory's training state; None if it has none.

    Raises:
        CorruptDataError: the file is damaged.
    """
    path = directory / STATE
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
            return TrainingState({name: file.get_tensor(name) for name in file.keys()}, progress)  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CorruptDataError(f"{path} is damaged: remove it to train afresh.") from error


def named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with ``prefix.``, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }
