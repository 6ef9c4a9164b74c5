"""The library that reads and writes Kaldi archives, which not everybody has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from softstore.errors import MissingDependencyError


def kaldi_native_io() -> Any:
    """The library.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return import_module("kaldi_native_io")
    except ImportError as error:
        raise MissingDependencyError(
            "Kaldi archives need kaldi_native_io: pip install 'softstore[kaldi]'."
        ) from error
