"""What soft targets cost a student: from a store, here or served, against labels that lie in memory.

The same student, the same batches, the product's own loop and losses; what differs is where targets come
from. Each contender is a process of its own, which trains for some seconds when it is its turn, with files in
the page cache and the first batch's coming in its time; a few updates before are not. What is told of two is
the median over rounds, in which one has its turn shortly after the other: a machine that is shared changes
its speed by a fifth within a minute. The service runs on the same processors, and so does the online teacher
(4 x 2048, `benchmarks.distilled`), which reads features only and is run on the frames of each batch.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

import torch
import typer

from benchmarks.distilled import Distilled, distilled
from benchmarks.fed_tasks import FirstBatches, HeldBatches
from benchmarks.harness import JsonOption, QuickOption, Row, Target, report
from benchmarks.online_teacher import OnlineExamples
from benchmarks.posteriors import WORK, WorkOption
from benchmarks.processes import Apart, measured
from benchmarks.servers import server
from softstore.allocation import keep_memory
from trainer.checkpoint import load_model
from trainer.config import STUDENTS, Preset, StudentConfig
from trainer.examples import Examples, open_examples
from trainer.model_shapes import LSTMShape
from trainer.models import DNN
from trainer.objectives import Kind, Objective
from trainer.passes import Passes
from trainer.ranks import Ranks
from trainer.run_state import RunState
from trainer.stopping import StopSignals

WARM_UP = 4
"""Batches before anything is measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a student is trained in a turn: of ``demo``, that is all there is to learn."""

    student: StudentConfig
    batches: int


FULL = {"paper": Size(STUDENTS[Preset.PAPER], 80), "demo": Size(STUDENTS[Preset.DEMO], 226)}
QUICK = {"small": Size(replace(STUDENTS[Preset.DEMO], model=LSTMShape(cells=32, projection=16)), 4)}
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Contender:
    """Where batches come from.

    Attributes:
        kind: what the student learns from.
        source: ``memory``, ``store``, ``service`` or ``teacher``.
    """

    kind: Kind
    source: str


HARD_IN_MEMORY, SOFT_IN_MEMORY = "(a) hard, memory", "(a') soft, memory"
STORE, SERVICE, ONLINE = "(c) soft, store", "(d) soft, service", "(e) soft, teacher online"

CONTENDERS = {
    HARD_IN_MEMORY: Contender(Kind.HARD, "memory"),
    SOFT_IN_MEMORY: Contender(Kind.SOFT, "memory"),
    "(b) hard, store": Contender(Kind.HARD, "store"),
    STORE: Contender(Kind.SOFT, "store"),
    SERVICE: Contender(Kind.SOFT, "service"),
    ONLINE: Contender(Kind.SOFT, "teacher"),
}

LEAST, MOST_WAIT = {STORE: 0.95, SERVICE: 0.92}, 1.0
"""Times the speed of (a), and per cent of the time. (a) has a cheaper loss besides: (a') tells what of a
difference is delivery."""


class Trainee:
    """A student that a contender trains, in this process.

    Args:
        url: of the store at the service.
    """

    def __init__(self, contender: Contender, size: Size, material: Distilled, url: str) -> None:
        config = size.student
        assert isinstance(config.model, LSTMShape)
        online = contender.source == "teacher"
        keep_memory()
        if config.threads is not None and not online:
            # The teacher is large enough for all of them.
            torch.set_num_threads(config.threads)
        examples = open_examples(url if contender.source == "service" else material.store)
        if online:
            examples = _online(examples, material.teacher)
        kind = HeldBatches if contender.source == "memory" else FirstBatches
        self.task = kind(size.batches, [examples], config, config.model, Ranks())
        self.task.prepare()
        self.config = config
        self.objective = Objective(contender.kind, config.temperature)
        for outcome in islice(self.task.train(self.objective, 1), WARM_UP):
            outcome.loss.backward()  # type: ignore[no-untyped-call]

    def turn(self) -> dict[str, float]:
        """Frames per second, and the share of waiting."""
        config, task = self.config, self.task
        state = RunState(task.model, config.optimizer.build(task.model.parameters()), task.ranks)
        state.schedule = config.schedule.begin(config.optimizer.learning_rate, 1, float("inf"))
        passes = Passes(task, state, config.optimizer, config.loop, _nothing, StopSignals())
        passes.train(self.objective, _nothing, _nothing)
        return {"frames/s": state.epoch.frames_per_second, "data wait %": 100 * state.epoch.data_wait}


def _online(examples: Examples, teacher: Path) -> OnlineExamples:
    model = load_model(teacher).model
    assert isinstance(model, DNN)
    return OnlineExamples(examples.frames, model)


def _nothing(*_: object) -> None: ...


def rows_of(preset: str, turns: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Row]:
    """Medians over the rounds, and of the ratios to others of the same round."""
    speeds = {name: [turn["frames/s"] for turn in found] for name, found in turns.items()}

    def times(name: str, other: str) -> float:
        return statistics.median(
            ours / theirs for ours, theirs in zip(speeds[name], speeds[other], strict=True)
        )

    return [
        {
            "student": preset,
            "targets": name,
            **{key: statistics.median(turn[key] for turn in found) for key in found[0]},
            "times (a)": times(name, HARD_IN_MEMORY),
            "times (a')": times(name, SOFT_IN_MEMORY),
            "times (e)": times(name, ONLINE),
        }
        for name, found in turns.items()
    ]


def targets(rows: Sequence[Row]) -> list[Target]:
    """What was promised, for each student."""
    found = []
    for preset, (name, least) in product(dict.fromkeys(row["student"] for row in rows), LEAST.items()):
        row = next(row for row in rows if (row["student"], row["targets"]) == (preset, name))
        for reference in ("times (a)", "times (a')"):
            value = float(row[reference])
            found.append(Target(f"{preset}, {name}, {reference}", value, least, value >= least))
        wait = float(row["data wait %"])
        found.append(Target(f"{preset}, {name}, data wait %", wait, MOST_WAIT, wait <= MOST_WAIT))
    return found


def main(json: JsonOption = None, quick: QuickOption = False, work: WorkOption = WORK) -> None:
    """Frames a second, waiting and memory by where targets come from, for two students."""
    material = distilled(work, quick)
    rows: list[Row] = []
    with server("softstore", "serve", f"store={material.store}", "--port", "0") as service:
        url = f"{service.url}/v1/stores/store/objects"
        for preset, size in (QUICK if quick else FULL).items():
            if quick:
                turns = {
                    name: [measured(Trainee.turn, Trainee(contender, size, material, url))]
                    for name, contender in CONTENDERS.items()
                }
            else:
                turns = in_turn(size, material, url)
            rows += rows_of(preset, turns)
    report("training", rows, targets(rows), json)


def in_turn(size: Size, material: Distilled, url: str) -> dict[str, list[dict[str, float]]]:
    """What each contender measures, every time it is its turn."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with ExitStack() as stack:
        trainees = {}
        for name, contender in CONTENDERS.items():
            trainees[name] = stack.enter_context(closing(Apart(Trainee, contender, size, material, url)))
        for _, name in product(range(ROUNDS), CONTENDERS):
            turns[name].append(trainees[name].measured(Trainee.turn))
    return turns


if __name__ == "__main__":
    typer.run(main)
