"""A student is taught through the service, whatever happens to the service meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from softstore.codecs import TopK
from softstore.errors import StorageError
from softstore.generate import generate
from softstore.storage import open_storage
from tests.samples import LinearTeacher
from tests.service_process import Service, service
from tests.trainer_data import CHUNK_FRAMES, CLASSES, DIMENSIONS, SHARD_FRAMES, make_learnable_corpus
from trainer.checkpoint import WEIGHTS
from trainer.config import StudentConfig, Targets
from trainer.examples import open_examples
from trainer.metrics import EpochMetrics, Sums
from trainer.model_shapes import LSTMShape
from trainer.objectives import Objective
from trainer.optimizers import SGDConfig
from trainer.schedule import NewbobConfig
from trainer.student import train_student

STUDENT = StudentConfig(
    model=LSTMShape(cells=24, projection=16, delay=1),
    streams=3,
    epochs=4,
    targets=Targets.SOFT,
    temperature=2.0,
    optimizer=SGDConfig(0.1),
    schedule=NewbobConfig(stop=-1e9),
)
AWAY = 1.0
"""Seconds that the service is gone for."""


class Restarting:
    """A display that stops the service where an epoch begins, and starts it while the epoch waits."""

    def __init__(self, served: Service | None, stops: dict[int, signal.Signals]) -> None:
        self.served = served
        self.stops = stops
        self.stopped: list[int] = []

    def begin(self, epoch: int, objective: Objective, frames: int) -> None:
        if self.served is not None and epoch in self.stops:
            self.served.stop(self.stops[epoch])
            self.stopped.append(epoch)
            threading.Thread(target=self._start_again, args=(self.served,)).start()

    def _start_again(self, served: Service) -> None:
        time.sleep(AWAY)
        served.start()

    def update(self, sums: Sums) -> None: ...

    def end(self, metrics: EpochMetrics) -> None: ...


def token_for(store: str, tokens: Path) -> str:
    command = [sys.executable, "-m", "softstore", "token", "add", "trainer", "--tokens", str(tokens)]
    done = subprocess.run([*command, "--store", store], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_restarts_change_nothing_in_a_student_that_is_trained_behind_a_token(tmp_path: Path) -> None:
    corpus = make_learnable_corpus(tmp_path / "corpus")
    teacher = LinearTeacher(class_count=CLASSES, dimensions=DIMENSIONS)
    storage = open_storage(tmp_path / "store", writable=True)
    generate(corpus, teacher, storage, TopK(k=6), shard_frames=SHARD_FRAMES, chunk_frames=CHUNK_FRAMES)
    tokens = tmp_path / "tokens.json"
    token = token_for("demo", tokens)
    train_student(open_examples(tmp_path / "store"), STUDENT, tmp_path / "local", Restarting(None, {}))
    with service(f"demo={tmp_path / 'store'}", "--tokens", tokens) as served:
        url = f"{served.url}/v1/stores/demo/objects"
        with pytest.raises(StorageError, match="wants a token"):
            open_examples(url)
        display = Restarting(served, {2: signal.SIGKILL, 3: signal.SIGTERM})
        train_student(open_examples(url, token), STUDENT, tmp_path / "remote", display)
    assert display.stopped == [2, 3]
    assert (tmp_path / "local" / WEIGHTS).read_bytes() == (tmp_path / "remote" / WEIGHTS).read_bytes()
