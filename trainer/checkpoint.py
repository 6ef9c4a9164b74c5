"""Models on disk: safetensors and JSON, never pickle.

A model is a directory:

    model.safetensors     weights, the input transform and the senones' log-prior
    model.json            kind, shape, features, training provenance, and the fingerprint of all this

What a training run needs to go on lies beside it: see `trainer.training_state`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from softstore.errors import CorruptDataError, FormatError, NotFoundError, StorageError
from trainer.models import CONFIGS, AcousticModel

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model read back.

    Attributes:
        description: `DESCRIPTION` without the fingerprint.
        fingerprint: SHA-256, changes with weights, shape or features.
    """

    model: AcousticModel
    description: dict[str, Any]
    fingerprint: str


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether a model lies in this directory."""
    return (Path(path) / DESCRIPTION).is_file()


def save_model(
    directory: Path, model: AcousticModel, features: Mapping[str, Any], training: Mapping[str, Any]
) -> str:
    """Write a model; returns its fingerprint.

    Args:
        features: what a row of its input is, from the corpus.
        training: where it comes from and how well it did; JSON values.
    """
    directory.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT_VERSION,
        "kind": model.config.kind,
        "model": model.config.to_json(),
        "features": dict(features),
        "training": dict(training),
    }
    tensors = _tensors(model.state_dict())
    fingerprint = _fingerprint(description, tensors)
    write_whole(directory / WEIGHTS, safetensors.torch.save(tensors))
    text = json.dumps({**description, "fingerprint": fingerprint}, indent=2, ensure_ascii=False) + "\n"
    write_whole(directory / DESCRIPTION, text.encode())
    return fingerprint


def load_model(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a model, ready for inference.

    Raises:
        NotFoundError: there is none.
        FormatError: it is of a version or kind this release does not know.
        CorruptDataError: its files are damaged, or do not belong together.
    """
    directory = Path(path)
    if not is_checkpoint(directory):
        raise NotFoundError(f"There is no model in {path}: it has no {DESCRIPTION}.")
    try:
        description: dict[str, Any] = json.loads((directory / DESCRIPTION).read_bytes())
        tensors = safetensors.torch.load((directory / WEIGHTS).read_bytes())
        version, kind = description["format"], description["kind"]
        if version != FORMAT_VERSION or kind not in CONFIGS:
            raise FormatError(
                f"The model in {path} is a {kind!r} of format {version!r}; this release reads "
                f"{', '.join(CONFIGS)} of format {FORMAT_VERSION}. Install a newer softstore."
            )
        fingerprint = description.pop("fingerprint")
        belongs = fingerprint == _fingerprint(description, tensors)
        model = CONFIGS[kind](**description["model"]).build()
        if belongs:
            model.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CorruptDataError(
            f"The model in {path} is damaged: {str(error).partition(chr(10))[0]}"
        ) from error
    if not belongs:
        raise CorruptDataError(
            f"{WEIGHTS} and {DESCRIPTION} in {path} do not belong together: run the training command again, "
            "which goes on from the last finished epoch."
        )
    return Checkpoint(model.eval(), description, fingerprint)


def _tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _fingerprint(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    identity = {key: description[key] for key in ("kind", "model", "features")}
    digest.update(json.dumps(identity, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that, whatever happens, the old or the new one is there whole.

    Raises:
        StorageError: it cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
