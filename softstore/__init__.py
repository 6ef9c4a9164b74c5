"""softstore: a teacher's posteriors, generated once, stored small and certified, read at any temperature.

    import softstore

    store = softstore.open("runs/demo/store")          # or s3://…, http(s)://…
    utterance = store["cv-0001"]
    utterance.posteriors(temperature=2.0)              # (frames, classes), float32, rows sum to 1
    store.utterances(split="cv", speaker="anna")       # chosen by manifest columns
    softstore.Ensemble([store, other], weights=[1, 2]) # several teachers as one

    with softstore.create("mine", class_count=2008, teacher="dnn-7") as recorder:
        recorder.add("cv-0001", logits)                # from an inference loop of your own

Errors raised on purpose are `SoftstoreError`; `softstore.errors` has the whole tree.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softstore.codecs import Fidelity
    from softstore.corpus import Corpus
    from softstore.ensemble import Ensemble
    from softstore.errors import (
        ConflictError,
        CorruptDataError,
        FormatError,
        InvalidInputError,
        MissingDependencyError,
        NotAStoreError,
        NotFoundError,
        SoftstoreError,
        StorageError,
    )
    from softstore.recorder import Recorder
    from softstore.recorder import create_store as create
    from softstore.selection import Selection
    from softstore.store import Store
    from softstore.store import open_store as open
    from softstore.utterance import StoredUtterance, Utterance

__all__ = [
    "ConflictError",
    "Corpus",
    "CorruptDataError",
    "Ensemble",
    "Fidelity",
    "FormatError",
    "InvalidInputError",
    "MissingDependencyError",
    "NotAStoreError",
    "NotFoundError",
    "Recorder",
    "Selection",
    "SoftstoreError",
    "StorageError",
    "Store",
    "StoredUtterance",
    "Utterance",
    "__version__",
    "create",
    "open",
]

__version__ = "0.1.0"

# Imported on first use: torch takes seconds, and workers that only speak or only serve bytes need none of it.
_MODULES = {
    "softstore.codecs": ("Fidelity",),
    "softstore.corpus": ("Corpus",),
    "softstore.ensemble": ("Ensemble",),
    "softstore.errors": tuple(name for name in __all__ if name.endswith("Error")),
    "softstore.recorder": ("Recorder", "create"),
    "softstore.selection": ("Selection",),
    "softstore.store": ("Store", "open"),
    "softstore.utterance": ("StoredUtterance", "Utterance"),
}
_NAMED_OTHERWISE = {"create": "create_store", "open": "open_store"}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(module), _NAMED_OTHERWISE.get(name, name))
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
