"""Batches put together block by block, from utterances that are read ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.examples import Example, Examples
from trainer.loading.plan import Plan
from trainer.loading.reader import Reader
from trainer.loading.utterances import Utterances
from trainer.streams import Batch, Part, pack


class Assembler:
    """Makes the batches of a plan that are asked for, in their order.

    Args:
        wanted: the batches that will be asked for, in blocks, or one by one if some are left out; no
            utterance is read that is in none of them.
    """

    def __init__(
        self,
        sources: Sequence[Examples],
        utterances: Utterances,
        plan: Plan,
        wanted: range,
        *,
        delay: int,
        targets: bool,
    ) -> None:
        # Of the wanted batches, how many lie before an utterance's end, and how many before its beginning.
        before_end, before = (
            np.maximum(-(-(bounds - wanted.start) // wanted.step), 0) for bounds in (plan.end, plan.begin)
        )
        some = before_end > before
        self._numbers, self._streams = plan.utterance[some], plan.stream[some]
        self._begins, self._ends = plan.begin[some], plan.end[some]
        self._plan = plan
        self._step = wanted.step
        self._delay = delay
        self._nothing: Example = sources[0].nothing(targets=targets)
        self._block_frames = sources[0].block_frames
        self._begun = 0
        self._active: list[int] = []
        self.reader = Reader(sources, utterances, plan.utterance[some], plan.turn[some], targets)

    def __call__(self, block: range) -> list[Batch]:
        """The batches of a block, which have the same number of streams and steps."""
        while self._begun < len(self._begins) and self._begins[self._begun] < block.stop:
            self._active.append(self._begun)
            self._begun += 1
        parts = [self._part(place, block) for place in sorted(self._active, key=self._streams.__getitem__)]
        steps, streams = int(self._plan.steps[block.start]), int(self._plan.streams[block.start])
        batches = pack(parts, self._nothing, len(block), steps, streams, self._delay, self._block_frames)
        following = block.stop - 1 + self._step
        for place in self._active:
            if self._ends[place] <= following:
                self.reader.let_go(int(self._numbers[place]))
        self._active = [place for place in self._active if self._ends[place] > following]
        return batches

    def _part(self, place: int, block: range) -> Part:
        example = self.reader.get(int(self._numbers[place]))
        return Part(example, int(self._streams[place]), int(self._begins[place]) - block.start)
