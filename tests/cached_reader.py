"""All batches of a store, read through a cache: `python -m tests.cached_reader URL DIRECTORY`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tests.loading_data import streams
from trainer.loading import open_examples


def digest(url: str, cache: Path | None) -> str:
    """Of everything in one epoch's batches."""
    found = hashlib.sha256()
    for batch in streams(open_examples(url, cache=cache)):
        for tensor in (
            batch.features,
            batch.labels,
            batch.mask,
            batch.rows,
            batch.reset,
            *batch.encoded.values(),
        ):
            found.update(tensor.numpy().tobytes())
        found.update(repr(batch.utterance_ids).encode())
    return found.hexdigest()


if __name__ == "__main__":
    print(digest(sys.argv[1], Path(sys.argv[2])))
