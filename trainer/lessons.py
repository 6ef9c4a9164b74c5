"""Batches together with what the teacher says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.reading_ahead import read_ahead
from trainer.device import moved
from trainer.examples import Examples
from trainer.metrics import Waiting
from trainer.objectives import Objective, Softener
from trainer.streams import Batch

AHEAD = 2
"""Batches softened before they are asked for: each is as large as the student's logits."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch on the device where it is learnt from.

    Attributes:
        rows: the steps that are learnt from, of T · S, (n,), int64.
        soften: of these, in their order; None without a teacher.
    """

    batch: Batch
    rows: Tensor
    soften: Softener | None


def lessons(
    batches: Iterable[Batch],
    examples: Examples,
    objective: Objective,
    rows_of: Callable[[Batch], Tensor],
    device: torch.device,
    waiting: Waiting,
) -> Iterator[Lesson]:
    """Of each batch, in order.

    A small student on a CPU has one core, see `trainer.config.StudentConfig.threads`. To soften takes a third
    as long as to train it: another core does that for the next batches meanwhile. Everywhere else a block of
    frames is softened where its loss is worked out.

    Args:
        rows_of: the steps of a batch to learn from.
        waiting: for what others do.
    """

    def lesson(batch: Batch) -> Lesson:
        batch = moved(batch, device)
        rows = rows_of(batch)
        return Lesson(batch, rows, examples.softener(batch.encoded, batch.rows.flatten()[rows]))

    def softened(batch: Batch) -> Lesson:
        taught = lesson(batch)
        assert taught.soften is not None
        return Lesson(taught.batch, taught.rows, objective.softened(taught.soften))

    if objective.uses_targets and device.type == "cpu" and torch.get_num_threads() == 1:
        with closing(read_ahead(softened, batches, threads=1, ahead=AHEAD)) as ready:
            yield from waiting.over(ready)
    else:
        yield from map(lesson, waiting.over(batches))
