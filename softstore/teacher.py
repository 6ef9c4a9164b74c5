"""How a teacher is found: a trained directory, a factory, an exported program, or stored posteriors."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

import torch

from softstore.errors import InvalidInputError, NotFoundError
from softstore.teachers.base import Batched, Movable, Stored, Teacher
from softstore.teachers.exported import exported_teacher
from softstore.teachers.factory import SPEC, factory_teacher
from softstore.teachers.kaldi import kaldi_teacher

__all__ = ["Batched", "Movable", "Stored", "Teacher", "everywhere", "load_teacher"]

ENTRY_POINTS = "softstore.teachers"


def load_teacher(spec: str | os.PathLike[str], *, device: str = "cpu") -> Teacher:
    """A teacher, ready for inference on a device.

    Args:
        spec: one of

            - a directory that `softstore teacher train` or `softstore train` wrote. Packages register more
              kinds as ``(path) -> Teacher | None`` under the entry-point group ``softstore.teachers``;
            - ``package.module:factory``: see `softstore.teachers.factory` for what the factory returns;
            - a file ``*.pt2`` written by ``torch.export.save``: see `softstore.teachers.exported`;
            - ``ark:PATH``, ``scp:PATH`` or a file ``*.ark`` or ``*.scp``: log-posteriors made elsewhere, in a
              Kaldi archive; see `softstore.teachers.kaldi`.
        device: a name that torch knows: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        NotFoundError: there is no such thing.
        InvalidInputError: it is no teacher, or it or the device cannot be used.
        FormatError: it is of a version that this release does not read.
        CorruptDataError: it is damaged.
        MissingDependencyError: a package is needed to read it.
    """
    where = _device(device)
    teacher = _find(os.fspath(spec))
    return teacher.to(where) if isinstance(teacher, Movable) else teacher


def everywhere(spec: str) -> str:
    """The same teacher as seen from any working directory: paths of what is there become absolute."""
    prefix, colon, rest = spec.partition(":")
    if prefix in ("ark", "scp") and rest:
        return f"{prefix}{colon}{Path(rest).absolute()}"
    return str(Path(spec).absolute()) if Path(spec).exists() else spec


def _find(spec: str) -> Teacher:
    prefix, _, rest = spec.partition(":")
    path = Path(spec)
    if prefix in ("ark", "scp") and rest:
        return kaldi_teacher(prefix, Path(rest))
    if path.is_dir():
        return _saved(path)
    if path.suffix == ".pt2":
        return exported_teacher(path)
    if path.suffix in (".ark", ".scp"):
        return kaldi_teacher(path.suffix[1:], path)
    if SPEC.fullmatch(spec) and not path.exists():
        return factory_teacher(spec)
    if path.exists():
        raise InvalidInputError(
            f"{spec} is no teacher: give a directory, package.module:factory, or a file .pt2, .ark or .scp."
        )
    raise NotFoundError(f"There is no teacher at {spec}: train one with `softstore teacher train`.")


def _saved(path: Path) -> Teacher:
    for entry_point in entry_points(group=ENTRY_POINTS):
        teacher = entry_point.load()(path)
        if teacher is not None:
            return cast(Teacher, teacher)
    raise InvalidInputError(f"{path} holds no teacher that an installed package can load.")


def _device(name: str) -> torch.device:
    """The device with its number, as tensors on it have it."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(f"There is no device {name!r} to run a teacher on: {reason}.") from error
