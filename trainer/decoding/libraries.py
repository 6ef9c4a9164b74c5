"""The Kaldi libraries that decoding needs, which not everybody has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from softstore.errors import MissingDependencyError

LIBRARIES = ("kaldifst", "kaldilm", "kaldi_decoder", "kaldialign")


def library(name: str) -> Any:
    """One of `LIBRARIES`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Word error rates need {name}, which is not installed: pip install 'softstore[decoding]'."
        ) from error


def require_libraries() -> None:
    """Raises `MissingDependencyError` if one of them is not installed: before the long work."""
    for name in LIBRARIES:
        library(name)
