"""Everything softstore raises on purpose.

    SoftstoreError
    ├── NotFoundError             no such store, utterance, object or file
    ├── NotAStoreError            something is there, but it is not a softstore store or corpus
    ├── FormatError               a store of a version or shape this release does not read
    ├── CorruptDataError          bytes are missing, truncated or fail their checksum
    ├── ConflictError             what is to be written contradicts what is stored
    ├── InvalidInputError         an argument, a corpus or a teacher output that cannot be used
    ├── StorageError              the storage refused, timed out or went away
    └── MissingDependencyError    an optional package is needed and not installed

A message is one sentence or two: what happened, to what, and what to do. `ErrorKind` values are
machine-readable and never change their meaning; the service sends them as problem codes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = [
    "ConflictError",
    "CorruptDataError",
    "ErrorKind",
    "FormatError",
    "InvalidInputError",
    "MissingDependencyError",
    "NotAStoreError",
    "NotFoundError",
    "SoftstoreError",
    "StorageError",
]


class ErrorKind(StrEnum):
    """Stable machine-readable codes, one per class of `SoftstoreError`."""

    ERROR = "error"
    NOT_FOUND = "not_found"
    NOT_A_STORE = "not_a_store"
    FORMAT = "unsupported_format"
    CORRUPT_DATA = "corrupt_data"
    CONFLICT = "conflict"
    INVALID_INPUT = "invalid_input"
    STORAGE = "storage_unavailable"
    MISSING_DEPENDENCY = "missing_dependency"


class SoftstoreError(Exception):
    """Base of all errors a caller may want to catch; ``str(error)`` is fit to show to a person."""

    kind: ClassVar[ErrorKind] = ErrorKind.ERROR


class NotFoundError(SoftstoreError):
    kind = ErrorKind.NOT_FOUND


class NotAStoreError(SoftstoreError):
    kind = ErrorKind.NOT_A_STORE


class FormatError(SoftstoreError):
    kind = ErrorKind.FORMAT


class CorruptDataError(SoftstoreError):
    kind = ErrorKind.CORRUPT_DATA


class ConflictError(SoftstoreError):
    kind = ErrorKind.CONFLICT


class InvalidInputError(SoftstoreError):
    kind = ErrorKind.INVALID_INPUT


class StorageError(SoftstoreError):
    kind = ErrorKind.STORAGE


class MissingDependencyError(SoftstoreError):
    kind = ErrorKind.MISSING_DEPENDENCY


UNUSABLE = (InvalidInputError, CorruptDataError)
"""What may be wrong with one utterance, and not with the whole run."""
