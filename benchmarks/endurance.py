"""`softstore generate`, killed again and again at random moments, and started again until all is stored.

Who is killed, in turn: a process that makes the shards itself; the driver of two Dask workers; a worker (the
run goes on); the driver and all its workers at once. A kill counts if it has hit a process that was still
running, after those who make the shards had loaded the teacher. What a killed driver's workers are still at
is not waited for. Whenever a store is whole it is held against one that was never interrupted, and the next
is begun. The codec is one that needs no fitting, so that most kills come while shards are being made.

Places are a directory, and S3 behind a proxy that makes it unreliable (`benchmarks.unreliable`). The server
is moto's; after every tenth kill it is killed as well, in the middle of the next run, and started again. It
keeps objects in memory, so they are carried over while the proxy lets nothing through.

A killed write leaves a file of a passing name (…#number) in a directory. `softstore verify --repair` deletes
these; everything else that was staged must be gone by itself.
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from uuid import uuid4

import numpy as np
import typer

from benchmarks.harness import JsonOption, QuickOption, Row, Target, report
from benchmarks.killable_generation import SHARD_FRAMES, Generation
from benchmarks.observed_teacher import frames_asked
from benchmarks.random_corpus import add_utterances
from benchmarks.s3_server import BUCKET, s3_server
from benchmarks.unreliable import Fate, unreliable
from softstore.repair import repair
from softstore.storage import open_storage
from softstore.store import Store, open_store
from softstore.verify import verify

WHO = ("alone", "driver", "worker", "all")
FRAMES = (40, 120)
PAUSE = 0.01
"""Seconds that the teacher takes for an utterance, beside its work."""

LATEST = 3.0
"""Seconds after the teacher was loaded; kills come before."""

RESTART = 10
"""Kills between two restarts of the S3 server."""

_UNFINISHED = re.compile(r"#\d+$")

KillsOption = Annotated[int, typer.Option(min=1, help="Kills at each place.")]
SeedOption = Annotated[int, typer.Option(help="Of the moments, and of what the S3 server refuses.")]
PlaceOption = Annotated[
    Literal["directory", "S3"] | None, typer.Option(help="Only there; both if not given.")
]
MinutesOption = Annotated[float, typer.Option(help="How long to go on over S3, at most.")]


@dataclass
class Tally:
    """What has happened at one place."""

    place: str
    turns: Sequence[str]
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    stores: int = 0
    restarts: int = 0
    frames: int = 0
    computed: int = 0
    differing: int = 0
    lost_or_twice: int = 0
    faults: int = 0
    staged: int = 0
    unfinished_files: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass
class Endurance:
    """Kills at one place, until there have been enough."""

    corpus: Path
    whole: Store
    work: Path
    random: random.Random
    tally: Tally
    kills: int
    new_store: Callable[[], str]
    deadline: float = math.inf
    environment: dict[str, str] = field(default_factory=dict)
    restart: Callable[[], None] = lambda: None
    restart_every: int = RESTART
    restart_due: bool = False

    def run(self) -> None:
        started = time.monotonic()
        while not self._enough():
            self._fill(self.new_store())
        self.tally.seconds = time.monotonic() - started

    def _enough(self) -> bool:
        return self.tally.kills.total() >= self.kills or time.monotonic() > self.deadline

    def _fill(self, store: str) -> None:
        """One store, from nothing until it is whole."""
        traces = Path(tempfile.mkdtemp(dir=self.work))
        environment = self.environment | {"OBSERVED_IN": str(traces), "OBSERVED_PAUSE": str(PAUSE)}
        runs: list[Generation] = []
        whole = False
        try:
            while not whole:
                who = "alone" if self._enough() else self._next()
                runs.append(Generation(self.corpus, store, traces, who, environment))
                self.tally.runs += 1
                whole = self._disturb(runs[-1])
            for run in runs:
                run.wait_for_workers()
        finally:
            for run in runs:
                run.wipe_out()
        self.tally.computed += frames_asked(traces)
        self._compare(store)

    def _next(self) -> str:
        return self.tally.turns[self.tally.kills.total() % len(self.tally.turns)]

    def _disturb(self, run: Generation) -> bool:
        """Kill in a run until it is dead or done; whether it is done."""
        while not self._enough():
            who = self._next()
            if not self._kill(run, who):
                break
            if who != "worker":
                return False
        run.end()
        return True

    def _kill(self, run: Generation, who: str) -> bool:
        """Wait for a random moment, and kill; False if the run had ended before."""
        while run.running and not run.has_begun():
            time.sleep(0.005)
        if self.restart_due and run.running:
            self.restart()
            self.restart_due = False
        time.sleep(self.random.uniform(0, LATEST))
        if not run.running:
            return False
        if who == "worker":
            with suppress(ProcessLookupError, IndexError):
                os.kill(self.random.choice(run.workers()), signal.SIGKILL)
                self._count(who)
            return True
        if not run.kill(everyone=who == "all"):
            return False
        self._count(who)
        return True

    def _count(self, who: str) -> None:
        self.tally.kills[who] += 1
        if self.tally.kills.total() % self.restart_every == 0:
            self.restart_due = True

    def _compare(self, store: str) -> None:
        storage, tally = open_storage(store), self.tally
        checked = verify(storage)
        tally.stores += 1
        tally.faults += len(checked.faults)
        unfinished = [orphan for orphan in checked.orphans if _UNFINISHED.search(orphan.path)]
        tally.unfinished_files += len(unfinished)
        tally.staged += len(checked.orphans) - len(unfinished) + len(checked.foreign)
        repair(storage, checked)
        tally.faults += len(verify(storage).orphans)
        found = open_store(store)
        expected = self.whole.manifest.table["utterance_id"].to_pylist()
        times = Counter(found.manifest.table["utterance_id"].to_pylist())
        tally.lost_or_twice += sum(times[utterance_id] != 1 for utterance_id in {*expected, *times})
        tally.frames += sum(found.manifest.table["num_frames"].to_pylist())
        for utterance in self.whole.scan():
            again = found[utterance.utterance_id]
            tally.differing += not all(
                np.array_equal(again.read(track), utterance.read(track)) for track in ("features", "labels")
            ) or not np.array_equal(again.log_posteriors(), utterance.log_posteriors())


def main(
    json: JsonOption = None,
    quick: QuickOption = False,
    kills: KillsOption = 100,
    seed: SeedOption = 0,
    s3_minutes: MinutesOption = 20,
    place: PlaceOption = None,
) -> None:
    """Kill runs at random moments, and compare what they end with to a run that was left alone."""
    if quick:
        kills = min(kills, 2)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        add_utterances(work / "corpus", range(60 if quick else 600), FRAMES, SHARD_FRAMES)
        (work / "traces").mkdir()
        alone = Generation(work / "corpus", str(work / "whole"), work / "traces", "alone", {})
        alone.end()
        whole = open_store(work / "whole")
        on_disk, on_s3 = Tally("directory", WHO), Tally("S3", WHO[2:] + WHO[:2])
        tallies = [tally for tally in (on_disk, on_s3) if place in (None, tally.place)]

        def endure(tally: Tally, place: Callable[[], str], **more: Any) -> None:
            moments = random.Random(f"{seed} {tally.place}")
            Endurance(work / "corpus", whole, work, moments, tally, kills, place, **more).run()

        if on_disk in tallies:
            endure(on_disk, lambda: str(work / uuid4().hex))
        if on_s3 in tallies:
            every = 1 if quick else RESTART
            deadline = time.monotonic() + 60 * s3_minutes
            with s3_server() as server, unreliable(server.endpoint, seed) as proxy:

                def restart() -> None:
                    with proxy.outage():
                        server.restart()
                    on_s3.restarts += 1

                endure(
                    on_s3,
                    lambda: f"s3://{BUCKET}/{uuid4().hex}",
                    deadline=deadline,
                    environment={"AWS_ENDPOINT_URL": proxy.endpoint},
                    restart=restart,
                    restart_every=every,
                )
            on_s3.fates = proxy.fates
    shown = ["place", "kills", *WHO, "runs", "stores", "computed / stored", "unfinished files", "s"]
    promised = [target for tally in tallies for target in targets(tally, kills)]
    report("endurance", [row(tally) for tally in tallies], promised, json, shown)


def row(tally: Tally) -> Row:
    """One place."""
    return {
        "place": tally.place,
        "kills": tally.kills.total(),
        **{who: tally.kills[who] for who in WHO},
        "runs": tally.runs,
        "stores": tally.stores,
        "server restarts": tally.restarts,
        **{f"requests {fate}": tally.fates[fate] for fate in get_args(Fate)},
        "frames stored": tally.frames,
        "computed / stored": tally.computed / tally.frames,
        "unfinished files": tally.unfinished_files,
        "s": tally.seconds,
    }


def targets(tally: Tally, kills: int) -> list[Target]:
    """What was promised of one place."""
    done = tally.kills.total()
    wrong = {
        "utterances that decode to something else": tally.differing,
        "utterances lost or there twice": tally.lost_or_twice,
        "faults": tally.faults,
        "staged objects left": tally.staged,
    }
    return [
        Target(f"{tally.place}: kills", done, kills, done >= kills),
        *(Target(f"{tally.place}: {name}", value, 0, not value) for name, value in wrong.items()),
    ]


if __name__ == "__main__":
    typer.run(main)
