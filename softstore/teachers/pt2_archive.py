"""The archive that `torch.export.save` writes (``.pt2``, torch 2.9 and later), read without torch's loader.

A zip file whose members, below one folder, are

    models/NAME.json                             the graph, as JSON
    data/weights/NAME_weights_config.json        parameter or buffer → member and tensor layout
    data/weights/weight_0 …                      the raw bytes of a storage
    data/constants/NAME_constants_config.json    the same for constants
    data/sample_inputs/NAME.pt                   pickled example inputs

`torch.export.load` unpickles the example inputs, whatever else is marked as pickled, and evaluates strings of
the graph as Python: somebody else's archive could do anything. Here pickles are never opened; where a weight
is one, the archive is refused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softstore.errors import CorruptDataError, FormatError, InvalidInputError, NotFoundError

DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""By the number torch's export schema gives them."""

STRIDED = 7
"""The layout of dense tensors."""


class Archive(NamedTuple):
    """What an exported program is made of.

    Attributes:
        program: the graph and its signature, JSON values.
        tensors: parameters, buffers and constants by their names.
    """

    program: Mapping[str, Any]
    tensors: dict[str, Tensor]


def read_archive(path: Path) -> Archive:
    """Read a program and its tensors, on the CPU.

    Raises:
        NotFoundError: there is no such file.
        FormatError: it is of an older or unknown version, or no archive of a program.
        CorruptDataError: it is damaged.
        InvalidInputError: it holds something that can only be unpickled.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no teacher at {path}.")
    try:
        with zipfile.ZipFile(path) as file:
            return _read(_Members(path, file))
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CorruptDataError(f"{path} is no exported program, or damaged: {error}.") from error
    except (RuntimeError, IndexError, NotImplementedError) as error:
        line = str(error).partition("\n")[0]
        raise CorruptDataError(f"The tensors of {path} are damaged: {line}") from error


class _Members:
    """The members of an archive, without the folder they lie in."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self.file = file
        names = file.namelist()
        self.folder = names[0].partition("/")[0] + "/" if names else ""
        self.names = [name.removeprefix(self.folder) for name in names if name.startswith(self.folder)]

    def read(self, name: str) -> bytes:
        return self.file.read(self.folder + name)


def _read(members: _Members) -> Archive:
    path = members.path
    if "serialized_exported_program.json" in members.file.namelist():
        raise _too_old(path)
    models = [name for name in members.names if name.startswith("models/") and name.endswith(".json")]
    if len(models) != 1:
        raise FormatError(
            f"{path} holds {len(models)} exported programs, not one: write it with `torch.export.save`."
        )
    if members.read("byteorder") != b"little":
        raise FormatError(f"{path} was written on a big-endian machine: export the teacher on this one.")
    name = models[0].removeprefix("models/").removesuffix(".json")
    if f"data/weights/{name}.pt" in members.names or f"data/constants/{name}.pt" in members.names:
        raise _too_old(path)
    program = json.loads(members.read(models[0]))
    version = program["schema_version"]["major"]
    if version != 8:
        raise FormatError(f"{path} has version {version} of torch's export schema; this release reads 8.")
    tensors: dict[str, Tensor] = {}
    for kind in ("weights", "constants"):
        config = json.loads(members.read(f"data/{kind}/{name}_{kind}_config.json"))["config"]
        storages: dict[str, bytearray] = {}
        for key, payload in config.items():
            member = payload["path_name"]
            if payload["use_pickle"] or not member.startswith(("weight_", "tensor_")):
                raise InvalidInputError(
                    f"{path} holds {key!r} as a Python pickle, which could run any code and is not read: "
                    "export the teacher with plain tensors, or load it in a factory (package.module:factory)."
                )
            if member not in storages:
                storages[member] = bytearray(members.read(f"data/{kind}/{member}"))
            tensors[key] = _tensor(storages[member], payload["tensor_meta"])
    return Archive(program, tensors)


def _tensor(storage: bytearray, meta: Mapping[str, Any]) -> Tensor:
    if meta["layout"] != STRIDED:
        raise ValueError("a tensor is not dense")
    dtype = DTYPES[meta["dtype"]]
    size, stride = ([extent["as_int"] for extent in meta[key]] for key in ("sizes", "strides"))
    if not storage:
        return torch.empty(size, dtype=dtype)
    flat = torch.frombuffer(storage, dtype=dtype)
    return flat.as_strided(size, stride, meta["storage_offset"]["as_int"])


def _too_old(path: Path) -> FormatError:
    return FormatError(
        f"{path} was written by torch 2.8 or older, which pickled the weights: load it there and export it "
        "with a newer one."
    )
