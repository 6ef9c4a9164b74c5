"""Shuffled utterances in blocks of so many frames, for training on single frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer.examples import Example, Examples
from trainer.loading.order import shuffle
from trainer.loading.reader import Reader
from trainer.loading.utterances import Utterances


class FrameBlocks:
    """An epoch's utterances, each in one block of at most ``block_frames``; one that is longer is a block.

    Attributes:
        frames: of each block.
    """

    def __init__(self, examples: Examples, split: str, *, block_frames: int, seed: int, epoch: int) -> None:
        self._examples = examples
        self._utterances = Utterances.of([examples], split)
        self._order = shuffle(self._utterances, seed, epoch)
        self._firsts: list[int] = []
        self.frames: list[int] = []
        for place, length in enumerate(self._utterances.num_frames[self._order.utterance].tolist()):
            if not self.frames or self.frames[-1] + length > block_frames:
                self._firsts.append(place)
                self.frames.append(0)
            self.frames[-1] += length

    def read(self, first: int = 0) -> Iterator[list[Example]]:
        """The blocks from number ``first`` on; nothing of those before is read."""
        order = self._order.utterance
        wanted = order[self._firsts[first] :] if first < len(self._firsts) else order[:0]
        turn = self._order.turn[self._utterances.run[wanted]]
        reader = Reader([self._examples], self._utterances, wanted, turn, targets=False)
        for numbers in np.split(order, self._firsts[1:])[first:]:
            block = [reader.get(number) for number in numbers.tolist()]
            for number in numbers.tolist():
                reader.let_go(number)
            yield block
