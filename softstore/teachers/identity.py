"""The fingerprint of code: SHA-256 over everything a module's or a function's answers may depend on."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np
import torch
from torch import Tensor

from softstore.errors import InvalidInputError

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

_LEFT_OUT = {"torch", "builtins"}
"""Packages whose code is not hashed."""


def identify(of: object, spec: str) -> str:
    """SHA-256 in hex of a module or function that the factory ``spec`` returned; the same on every device.

    A module: its weights and buffers, in the order of their names, its ``repr``, its class, and the source
    files that define its classes and its factory. A function: the source file that defines it, and the values
    of variables it uses from outside, weights among them; other functions it uses are followed likewise, and
    global variables within the factory's package. What torch itself defines is left out. A changed comment
    changes the fingerprint, too.

    Raises:
        InvalidInputError: something among it cannot be hashed; an attribute ``fingerprint`` must say it.
    """
    digest = _Digest(spec)
    digest.text("factory", spec)
    digest.source(spec.partition(":")[0])
    digest.value("teacher", of)
    return digest.sha256.hexdigest()


def add_tensor(digest: hashlib._Hash, name: str, tensor: Tensor) -> None:
    """Name, dtype, shape and bytes of a dense tensor, wherever it lies."""
    digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


class _Digest:
    """Values added one after another, each under its name; one that was met before is not followed again."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._package = re.split("[.:]", spec)[0]
        self.sha256 = hashlib.sha256()
        self._met: dict[int, object] = {}
        self._sources: set[str] = set()

    def text(self, name: str, text: str) -> None:
        self.sha256.update(f"\n{name} {len(text)} {text}".encode())

    def value(self, name: str, value: object) -> None:
        if isinstance(value, Tensor):
            self._tensor(name, value)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            self._tensor(name, torch.from_numpy(np.ascontiguousarray(value)))
        elif isinstance(value, str | bytes | int | float | complex | torch.dtype | torch.device | None):
            self.text(name, repr(value))
        elif isinstance(value, ModuleType | BuiltinFunctionType):
            self.text(name, value.__name__)
        elif id(value) in self._met:
            self.text(name, "again")
        else:
            self._met[id(value)] = value
            self._composed(name, value)

    def _composed(self, name: str, value: object) -> None:
        if isinstance(value, torch.nn.Module):
            self._module(name, value)
        elif isinstance(value, FunctionType):
            self._function(name, value)
        elif isinstance(value, type):
            self.text(name, f"{value.__module__}.{value.__qualname__}")
            self.source(value.__module__)
        elif isinstance(value, list | tuple):
            self.text(name, f"{type(value).__name__} of {len(value)}")
            for number, item in enumerate(value):
                self.value(f"{name}[{number}]", item)
        elif isinstance(value, Mapping):
            self.text(name, f"{type(value).__name__} of {len(value)}")
            for key in sorted(value, key=repr):
                self.value(f"{name}[{key!r}]", value[key])
        else:
            raise self._unknown(name, value)

    def _module(self, name: str, module: torch.nn.Module) -> None:
        # repr shows what is no weight: strides, activations, dropout.
        self.text(name, _ADDRESS.sub("", repr(module)))
        kinds = {(kind.__module__, kind.__qualname__) for kind in map(type, module.modules())}
        for package, kind in sorted(kinds):
            self.text("class", f"{package}.{kind}")
            self.source(package)
        # Buffers that are not saved with the weights decide as well.
        state = {**dict(module.named_buffers()), **module.state_dict()}
        for key in sorted(state):
            self.value(f"{name}.{key}", state[key])

    def _function(self, name: str, function: FunctionType) -> None:
        package = function.__module__.partition(".")[0]
        self.text(name, f"{function.__module__}.{function.__qualname__}")
        if package in _LEFT_OUT:
            return
        try:
            self.text(name, inspect.getsource(function))
        except (OSError, TypeError) as error:
            raise self._unknown(name, function) from error
        self.source(function.__module__)
        outside = inspect.getclosurevars(function)
        defaults = {"defaults": function.__defaults__, "keyword defaults": function.__kwdefaults__}
        followed = [outside.nonlocals, defaults, *([outside.globals] if package == self._package else [])]
        for variables in followed:
            for key in sorted(variables):
                self.value(f"{name}.{key}", variables[key])

    def _tensor(self, name: str, tensor: Tensor) -> None:
        try:
            add_tensor(self.sha256, name, tensor)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            raise self._unknown(name, tensor) from error

    def source(self, module: str) -> None:
        """The text of a Python module's source file, once; nothing if there is none, or it is torch's own."""
        if module in self._sources or module.partition(".")[0] in _LEFT_OUT:
            return
        self._sources.add(module)
        try:
            self.text(module, inspect.getsource(sys.modules[module]))
        except (OSError, TypeError, KeyError):
            self.text(module, "without source")

    def _unknown(self, name: str, value: object) -> InvalidInputError:
        what = type(value).__name__
        return InvalidInputError(
            f"The teacher {self.spec} has no fingerprint, and none can be made of {name} ({what}): give what "
            "the factory returns an attribute `fingerprint`, a text that changes whenever its answers may."
        )
