"""The peers of `benchmarks.loading`: each keeps utterances its own way, and hands them out shuffled."""

from __future__ import annotations

from importlib import import_module

from benchmarks.loaders.peer import Peer

MODULES = ("web_dataset", "mds", "lit_data", "shar", "hdf5")


def peers() -> list[Peer]:
    """Those that are installed here."""
    found: list[Peer] = []
    for name in MODULES:
        try:
            module = import_module(f"benchmarks.loaders.{name}")
        except (ImportError, RuntimeError):
            # MDS wants torchvision, which says RuntimeError where it was built for another torch.
            continue
        found += module.PEERS
    return found
