"""Batches of stores and corpora anywhere, for a training loop of any kind.

    from trainer.loading import StreamBatches, open_examples

    examples = open_examples("https://host/v1/stores/demo")
    batches = StreamBatches(examples, "train", streams=32, chunk_frames=20, delay=5, seed=0, targets=True)
    for batch in batches:
        ...

`StreamBatches` are for truncated back-propagation through time, `UtteranceBatches` hold whole utterances;
both are `torch.utils.data.IterableDataset`s of `Batch`. Which frames a batch holds follows from the seed, the
epoch and the lengths of the utterances alone, so their state is a few integers (see `EpochBatches`).
"""

from __future__ import annotations

from trainer.examples import Examples, open_examples
from trainer.loading.batches import EpochBatches
from trainer.loading.stream_batches import StreamBatches
from trainer.loading.utterance_batches import UtteranceBatches
from trainer.streams import Batch

__all__ = ["Batch", "EpochBatches", "Examples", "StreamBatches", "UtteranceBatches", "open_examples"]
