"""softstore: a teacher's posteriors, generated once, stored small and certified, read at any temperature.

import softstore

store = softstore.open("runs/demo/store")          # or s3://…, http(s)://…
utterance = store["cv-0001"]
utterance.posteriors(temperature=2.0)              # (frames, classes), float32, rows sum to 1
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softstore.corpus import Corpus
    from softstore.errors import SoftstoreError
    from softstore.store import Store
    from softstore.store import open_store as open
    from softstore.utterance import StoredUtterance, Utterance

__all__ = ["Corpus", "SoftstoreError", "Store", "StoredUtterance", "Utterance", "__version__", "open"]

__version__ = "0.1.0"

# Imported on first use: torch takes seconds, and workers that only speak or only serve bytes need none of it.
_EXPORTS = {
    "Corpus": ("softstore.corpus", "Corpus"),
    "SoftstoreError": ("softstore.errors", "SoftstoreError"),
    "Store": ("softstore.store", "Store"),
    "StoredUtterance": ("softstore.utterance", "StoredUtterance"),
    "Utterance": ("softstore.utterance", "Utterance"),
    "open": ("softstore.store", "open_store"),
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _EXPORTS[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
