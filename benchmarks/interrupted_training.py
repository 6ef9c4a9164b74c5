"""`softstore train`, killed again and again at random moments, and resumed until the student is trained.

Two students, each taught with soft targets first and hard ones then: an LSTMP on streams of utterances, and a
DNN on whole ones, which is killed half as often. One run of each is left alone, and its updates are timed;
another is killed. Its length, from the first update to the end of the process, is cut into as many parts as
there are kills, and each has one at a random moment, after the run has come further than where the last kill
hit. Every fourth waits for the next time that the state is saved, and comes once the temporary file is there.
A student that is trained before all of the kills have come is held against the one that was left alone, too,
and another is begun for the kills that are missing.

Everything is on one thread of a CPU. What is compared are the bits of `model.safetensors` and of all tensors
of `checkpoint.safetensors`, its progress, and the lines of `metrics.jsonl` and `steps.jsonl`, without times.
"""

from __future__ import annotations

import random
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.harness import JsonOption, QuickOption, Row, Target, report
from benchmarks.killable_training import Training, changed, last_update, updates
from benchmarks.observed_teacher import ObservedTeacher
from benchmarks.random_corpus import CHUNK_FRAMES, CLASSES, DIMENSIONS, add_utterances
from benchmarks.run_differences import Differences, differences
from softstore.codecs import TopK
from softstore.corpus import Corpus
from softstore.generate import generate
from softstore.storage import open_storage
from trainer.config import STUDENTS, LoopConfig, Preset, StudentConfig, Targets
from trainer.config_file import to_toml
from trainer.model_shapes import DNNShape
from trainer.schedule import NewbobConfig

SHARD_FRAMES = 8192
FRAMES = (100, 300)
SAVING_EVERY = 4

LSTMP = replace(
    STUDENTS[Preset.DEMO],
    targets=Targets.PRETRAIN,
    pretrain_epochs=3,
    epochs=3,
    threads=1,
    schedule=NewbobConfig(stop=-1e9, keep_epochs=2),
    loop=LoopConfig(log_steps=1, checkpoint_seconds=0.25, device="cpu"),
)
DNN = replace(LSTMP, model=DNNShape(layers=2, hidden=256, context=2, transform_dim=40), batch_frames=1024)

KillsOption = Annotated[int, typer.Option(min=1, help="Kills of the LSTMP; the DNN has half as many.")]
SeedOption = Annotated[int, typer.Option(help="Of the moments.")]


@dataclass
class Tally:
    """What has happened to one student's runs.

    Attributes:
        epochs: those in which kills came, one for each.
        halves: kills that left half a write, a temporary file.
        runs: processes.
        found: of each student that was trained to the end.
    """

    student: str
    epochs: list[int] = field(default_factory=list)
    halves: int = 0
    runs: int = 0
    found: list[Differences] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return len(self.epochs)


@dataclass
class Interruption:
    """Kills of one student's runs, until there have been enough."""

    config: Path
    whole: Path
    times: list[float]
    random: random.Random
    tally: Tally
    kills: int

    def run(self) -> None:
        started = time.monotonic()
        while self.tally.kills < self.kills:
            self._train(self.whole.with_name(uuid4().hex))
        self.tally.seconds = time.monotonic() - started

    def _train(self, out: Path) -> None:
        """One run, from nothing to its end."""
        left = self.kills - self.tally.kills
        moments = [self.times[-1] * (part + self.random.random()) / left for part in range(left)]
        ended = False
        while not ended:
            run = Training(out, self.config, out.parent)
            self.tally.runs += 1
            try:
                if not moments or not self._kill(run, out, moments.pop(0)):
                    run.end()
                    ended = True
            finally:
                run.wipe_out()
        self.tally.found.append(differences(out, self.whole))

    def _kill(self, run: Training, out: Path, moment: float) -> bool:
        """Wait for the moment, and kill; False if the run had ended before."""
        before = temporary_files(out)
        saving = self.tally.kills % SAVING_EVERY == 1
        if not run.wait_for(moment, self.times) or (saving and not run.wait_for_save()) or not run.kill():
            return False
        self.tally.epochs.append(last_update(out)["epoch"])
        self.tally.halves += bool(temporary_files(out) - before)
        return True


def temporary_files(out: Path) -> set[tuple[str, int]]:
    """What was not written to its end, and when it was written to."""
    return {(file.name, changed(file)) for file in out.glob("*.tmp")}


def speech(random: np.random.Generator, length: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Labels that stay for 4 to 9 frames, and features around their class's mean: it can be learnt."""
    means = np.random.default_rng(2).normal(scale=1.5, size=(CLASSES, DIMENSIONS))
    labels = np.repeat(random.integers(0, CLASSES, length), random.integers(4, 10, length))[:length]
    return means[labels] + random.normal(size=(length, DIMENSIONS)), labels


def make_store(work: Path, utterances: int) -> Path:
    add_utterances(work / "corpus", range(utterances), FRAMES, SHARD_FRAMES, speech)
    generate(
        Corpus.open(str(work / "corpus")),
        ObservedTeacher(),
        open_storage(work / "store", writable=True),
        TopK(k=16),
        shard_frames=SHARD_FRAMES,
        chunk_frames=CHUNK_FRAMES,
    )
    return work / "store"


def interrupted(student: str, config: StudentConfig, store: Path, kills: int, seed: int) -> Row:
    """Train a student in peace, and again."""
    work = store.with_name(student)
    work.mkdir()
    file, whole = work / "student.toml", work / "whole"
    file.write_text(to_toml(config, str(store)))
    times = Training(whole, file, work).times()
    tally = Tally(student)
    Interruption(file, whole, times, random.Random(f"{seed} {student}"), tally, kills).run()
    return row(tally, config, updates(whole), times[-1])


def main(
    json: JsonOption = None, quick: QuickOption = False, kills: KillsOption = 20, seed: SeedOption = 0
) -> None:
    """Kill runs at random moments, and compare what they end with to a run that was left alone."""
    students = {"LSTMP": (LSTMP, kills), "DNN": (DNN, (kills + 1) // 2)}
    if quick:
        students = {"LSTMP": (LSTMP, 2)}
    with tempfile.TemporaryDirectory() as directory:
        store = make_store(Path(directory), 20 if quick else 300)
        rows = [interrupted(name, config, store, wanted, seed) for name, (config, wanted) in students.items()]
    promised = [target for row in rows for target in targets(row, students[str(row["student"])][1])]
    shown = ["student", "updates", "kills", "soft", "hard", "epochs hit", "writing", "runs", "s"]
    report("interrupted_training", rows, promised, json, shown)


def row(tally: Tally, config: StudentConfig, updates: int, alone: float) -> Row:
    """One student; ``alone``: seconds of the run that was left alone, from its first update."""
    hard = sum(epoch > config.pretrain_epochs for epoch in tally.epochs)
    return {
        "student": tally.student,
        "updates": updates,
        "kills": tally.kills,
        "soft": tally.kills - hard,
        "hard": hard,
        "epochs hit": f"{len(set(tally.epochs))} of {config.pretrain_epochs + config.epochs}",
        "writing": tally.halves,
        "runs": tally.runs,
        "students": len(tally.found),
        "weights that differ": sum(found.weights for found in tally.found),
        "numbers of the state that differ": sum(found.state for found in tally.found),
        "lines of metrics that differ": sum(found.lines for found in tally.found),
        "temporary files left": sum(found.files for found in tally.found),
        "alone, s": alone,
        "s": tally.seconds,
    }


def targets(row: Row, kills: int) -> list[Target]:
    """What was promised of one student."""
    wrong = [(name, float(value)) for name, value in row.items() if name.endswith(("that differ", "left"))]
    done = float(row["kills"])
    return [
        Target(f"{row['student']}: kills", done, kills, done >= kills),
        *(Target(f"{row['student']}: {name}", value, 0, not value) for name, value in wrong),
    ]


if __name__ == "__main__":
    typer.run(main)
