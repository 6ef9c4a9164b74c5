"""Exported torch programs as teachers: what ``torch.export.save`` wrote, a file ``*.pt2``.

    frames = torch.export.Dim("frames", min=1)
    program = torch.export.export(model.eval(), (torch.zeros(100, 40),), dynamic_shapes=({0: frames},))
    torch.export.save(program, "teacher.pt2")

The program takes the features of one utterance, (frames, dimensions) float32, and returns logits or
log-posteriors, (frames, classes). `torch.export.load` unpickles, and evaluates strings, so it is not used:
see `softstore.teachers.pt2_archive` for what is read, and `softstore.teachers.aten_graph` for what is run.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softstore.errors import CorruptDataError, InvalidInputError
from softstore.teachers.aten_graph import Graph
from softstore.teachers.called import CPU, CalledTeacher
from softstore.teachers.identity import add_tensor
from softstore.teachers.pt2_archive import Archive, read_archive

_COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_GUARD = re.compile(r"L\['\w+'\]\.size\(\)\[([01])\] (==|!=|<=|>=|<|>) (\d+)")
_SYMBOL = re.compile(r"Symbol\('(\w+)'")

_NO_CONTENT = {"metadata", "hint", "torch_version"}
"""Keys of a graph with comments: file names, lengths of examples."""


def exported_teacher(path: Path) -> CalledTeacher:
    """The program in the file.

    Its fingerprint is the SHA-256 of graph and tensors, not of the file, whose example inputs, comments and
    identification change without changing what the program computes.

    Raises:
        NotFoundError: there is no such file.
        FormatError: it is of an older or unknown version.
        CorruptDataError: it is damaged.
        InvalidInputError: it holds pickles that matter, operators that are not torch's own, or takes or
            returns something else than one tensor.
    """
    archive = read_archive(path)
    try:
        program = Program(str(path), archive, CPU)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptDataError(f"The graph in {path} is damaged: {type(error).__name__}: {error}.") from error
    description = {
        "kind": "exported",
        "teacher": path.name,
        "torch": str(archive.program.get("torch_version", "")),
    }
    return CalledTeacher(program, fingerprint(archive), description, program.class_count)


class Program:
    """An exported program, ready to run: features of one utterance → logits or log p."""

    def __init__(self, who: str, archive: Archive, device: torch.device) -> None:
        self.who = who
        self.archive = archive
        module, signature = archive.program["graph_module"], archive.program["graph_module"]["signature"]
        shapes = module["graph"]["tensor_values"]
        self.graph = Graph(module["graph"], device, who)
        self._weights: dict[str, Tensor] = {}
        features = []
        # Arguments that were constants when it was exported are part of the graph.
        specs = [spec for spec in signature["input_specs"] if "constant_input" not in spec]
        for name, spec in zip(self.graph.inputs, specs, strict=True):
            ((kind, given),) = spec.items()
            if kind == "user_input":
                features.append(name)
            elif kind in ("parameter", "buffer", "tensor_constant"):
                self._weights[name] = archive.tensors[given[f"{kind}_name"]].to(device)
            else:
                raise InvalidInputError(f"{who} takes a {kind}: only features can be given to it.")
        outputs = signature["output_specs"]
        if len(features) != 1 or [list(spec) for spec in outputs] != [["user_output"]]:
            raise InvalidInputError(
                f"{who} does not map one tensor to one tensor and nothing else: export a module whose "
                "forward takes features, returns logits, and changes no buffers."
            )
        self._conditions = list(_conditions(who, archive.program, shapes[features[0]]["sizes"]))
        result = shapes[outputs[0]["user_output"]["arg"]["as_tensor"]["name"]]
        self.class_count: int | None = result["sizes"][-1].get("as_int")

    def __call__(self, features: Tensor) -> Tensor:
        """
        Raises:
            InvalidInputError: features of this shape were excluded when the program was exported, or it
                changes its own weights.
        """
        for axis, comparison, number in self._conditions:
            if axis >= features.ndim or not _COMPARISONS[comparison](features.shape[axis], number):
                raise InvalidInputError(
                    f"{self.who} was exported for features whose axis {axis} is {comparison} {number}, these "
                    f"are {tuple(features.shape)}: export it with dynamic_shapes."
                )
        before = self._changes()
        inputs = (self._weights.get(name, features) for name in self.graph.inputs)
        (found,) = self.graph(*inputs)
        if self._changes() != before:
            raise InvalidInputError(f"{self.who} changes its own weights: export it without.")
        assert isinstance(found, Tensor)
        return found

    def to(self, device: torch.device) -> Program:
        return Program(self.who, self.archive, device)

    def __reduce__(self) -> tuple[type[Program], tuple[str, Archive, torch.device]]:
        return Program, (self.who, self.archive, self.graph.device)

    def _changes(self) -> int:
        return sum(tensor._version for tensor in self._weights.values())


def fingerprint(archive: Archive) -> str:
    """SHA-256 in hex of graph and tensors."""
    digest = hashlib.sha256(json.dumps(_content(archive.program), sort_keys=True).encode())
    for name in sorted(archive.tensors):
        add_tensor(digest, name, archive.tensors[name])
    return digest.hexdigest()


def _content(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _content(item) for key, item in value.items() if key not in _NO_CONTENT}
    return [_content(item) for item in value] if isinstance(value, list) else value


def _conditions(
    who: str, program: Mapping[str, Any], sizes: list[Mapping[str, Any]]
) -> Iterator[tuple[int, str, int]]:
    """What must hold of the features: (axis, comparison, number)."""
    for axis, size in enumerate(sizes):
        if "as_int" in size:
            yield axis, "==", size["as_int"]
        elif symbol := _SYMBOL.match(size["as_expr"]["expr_str"]):
            limits = program["range_constraints"].get(symbol[1], {})
            for comparison, number in ((">=", limits.get("min_val")), ("<=", limits.get("max_val"))):
                if number is not None:
                    yield axis, comparison, number
    for guard in program.get("guards_code", ()):
        simple = _GUARD.fullmatch(guard)
        if simple is None:
            raise InvalidInputError(
                f"{who} is only right for features with {guard}, which is not checked here: export it "
                "without such a condition, or load it in a factory (package.module:factory)."
            )
        yield int(simple[1]), simple[2], int(simple[3])
