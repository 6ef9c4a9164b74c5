"""An exported graph, run operator by operator.

Only torch's own tensor operators (``torch.ops.aten``) run, and arithmetic on sizes. No string of the graph is
evaluated, and none reaches an operator but where it names a way to compute (``approximate="tanh"``), so that
nothing in a graph can open a file or run code. Symbolic expressions in it only describe shapes and are not
looked at: sizes come from the tensors themselves.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._ops import OpOverload

from softstore.errors import InvalidInputError
from softstore.teachers.pt2_archive import DTYPES, STRIDED

_ATEN = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")

_NO_GRAD = "torch.ops.higher_order.wrap_with_set_grad_enabled"
"""What is left of ``with torch.no_grad():``; called with (enabled, graph, the graph's inputs …)."""

_ON_SIZES: dict[str, Callable[..., Any]] = {
    **{
        f"_operator.{name}": getattr(operator, name)
        for name in ("add", "sub", "mul", "neg", "pos", "getitem")
    },
    **{
        f"_operator.{name}": getattr(operator, name) for name in ("floordiv", "truediv", "mod", "and_", "or_")
    },
    **{f"_operator.{name}": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "torch.sym_int": int,
    "torch.sym_float": float,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_not": operator.not_,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "math.trunc": math.trunc,
}

_MAY_BE_STRINGS = {
    *("approximate", "rounding_mode", "equation", "mode", "padding", "padding_mode", "pad_mode", "reduce"),
    *("indexing", "interpolation", "side", "norm", "ord", "assert_msg", "msg"),
}
"""Operator arguments that name a way to compute, or what to say of a failed assertion."""

_MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}


class _Name(str):
    """A value computed before, by its name."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """One operator.

    Attributes:
        arguments, keywords: constants, names, or lists of both.
        results: the names of what it returns, lists flattened; None: nobody wants it.
        last: the names of values nobody wants after this step.
    """

    run: Callable[..., Any]
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    results: Sequence[str | None]
    last: Sequence[str]


class Graph:
    """A graph that was checked, ready to run on a device.

    Args:
        graph: as torch's export schema describes it, version 8; JSON values.
        who: the program's name in messages.

    Raises:
        InvalidInputError: it needs an operator that is not run here.
        ValueError, LookupError, TypeError: it is damaged.
    """

    def __init__(self, graph: Mapping[str, Any], device: torch.device, who: str) -> None:
        self.who = who
        self.device = device
        self.inputs = list(_names([self._argument(given) for given in graph["inputs"]]))
        self.outputs = [self._argument(given) for given in graph["outputs"]]
        wanted = set(_names(self.outputs))
        steps = []
        for node in reversed(graph["nodes"]):
            step = self._step(node, wanted)
            wanted.update(step.last)
            steps.append(step)
        self.steps = steps[::-1]

    def __call__(self, *inputs: Any) -> list[Any]:
        """Its outputs."""
        known: dict[str | None, Any] = dict(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            arguments = [_value(given, known) for given in step.arguments]
            keywords = {key: _value(given, known) for key, given in step.keywords.items()}
            found = step.run(*arguments, **keywords)
            if step.results:
                known.update(zip(step.results, _flat(found), strict=True))
            for name in step.last:
                known.pop(name, None)
        return [_value(given, known) for given in self.outputs]

    def _step(self, node: Mapping[str, Any], wanted: set[str]) -> _Step:
        run: Callable[..., Any]
        target, inputs = node["target"], node["inputs"]
        if target == _NO_GRAD:
            run, inputs = Graph(inputs[1]["arg"]["as_graph"]["graph"], self.device, self.who), inputs[2:]
        elif target in _ON_SIZES:
            run = _ON_SIZES[target]
        else:
            run = self._operator(target)
        positional = [given for given in inputs if given["kind"] != 2 or not isinstance(run, OpOverload)]
        keywords = {given["name"]: given for given in inputs if given not in positional}
        arguments = [self._argument(given["arg"], given["name"]) for given in positional]
        keyword_arguments = {name: self._argument(given["arg"], name) for name, given in keywords.items()}
        results = [
            str(given) if given is not None else None
            for given in _flat([self._argument(given) for given in node["outputs"]])
        ]
        used = {*_names([*arguments, *keyword_arguments.values()]), *(name for name in results if name)}
        return _Step(run, arguments, keyword_arguments, results, sorted(used - wanted))

    def _operator(self, target: str) -> OpOverload[..., Any]:
        match = _ATEN.fullmatch(target)
        found = getattr(getattr(torch.ops.aten, match[1], None), match[2], None) if match else None
        # Operators of scripts only, such as aten::save, are none of the dispatcher's.
        if isinstance(found, OpOverload) and torch._C._dispatch_has_kernel(found._name):
            return found
        raise InvalidInputError(
            f"{self.who} uses {target}, and only torch's own operators (torch.ops.aten) are run here: load "
            "the teacher in a factory (package.module:factory)."
        )

    def _argument(self, given: Mapping[str, Any], name: str = "") -> Any:
        """A constant, a `_Name`, or a list of both."""
        ((kind, value),) = given.items()
        match kind:
            case "as_none":
                return None
            case "as_tensor":
                return _Name(value["name"])
            case "as_tensors":
                return [_Name(tensor["name"]) for tensor in value]
            case "as_name":
                return _Name(value)
            case "as_bool" if value and name in ("training", "train"):
                raise InvalidInputError(f"{self.who} was exported while training: call `.eval()` before.")
            case "as_int" | "as_bool" | "as_ints" | "as_bools":
                return value
            case "as_float":
                return float(value)
            case "as_floats":
                return [float(item) for item in value]
            case "as_optional_tensor" | "as_sym_int" | "as_sym_bool" | "as_sym_float":
                return self._argument(value)
            case "as_optional_tensors" | "as_sym_ints" | "as_sym_bools" | "as_sym_floats":
                return [self._argument(item) for item in value]
            case "as_scalar_type":
                return DTYPES[value]
            case "as_memory_format":
                return _MEMORY_FORMATS[value]
            case "as_layout" if value == STRIDED:
                return torch.strided
            case "as_device":
                return self.device
            case "as_string" if name in _MAY_BE_STRINGS:
                return str(value)
        raise InvalidInputError(
            f"{self.who} gives an operator {kind.removeprefix('as_')} for {name or 'a value'}, which is not "
            "run here: load the teacher in a factory (package.module:factory)."
        )


def _value(given: Any, known: Mapping[str | None, Any]) -> Any:
    if isinstance(given, _Name):
        return known[given]
    return [_value(item, known) for item in given] if isinstance(given, list) else given


def _names(given: Any) -> Iterator[str]:
    return (name for name in _flat(given) if isinstance(name, _Name))


def _flat(given: Any) -> Iterator[Any]:
    if isinstance(given, list | tuple):
        for item in given:
            yield from _flat(item)
    else:
        yield given
