"""A store with soft targets that can be learnt, made in a second, and runs on it that are over as soon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from softstore.codecs import Codec, TopK
from softstore.generate import generate
from softstore.storage import open_storage
from tests.trainer_data import CHUNK_FRAMES, SHARD_FRAMES, make_learnable_corpus
from trainer.config import LoopConfig, StudentConfig, Targets, TeacherConfig
from trainer.examples import open_examples
from trainer.metrics import Sums
from trainer.model_shapes import DNNShape, LSTMShape
from trainer.optimizers import SGDConfig
from trainer.schedule import NewbobConfig
from trainer.task import Silent
from trainer.teacher import load_teacher, train_teacher

TEACHER = TeacherConfig(
    model=DNNShape(layers=1, hidden=32, context=2, transform_dim=20),
    epochs=2,
    batch_frames=32,
    optimizer=SGDConfig(0.05),
)
STUDENT = StudentConfig(
    targets=Targets.PRETRAIN,
    temperature=2.0,
    epochs=2,
    pretrain_epochs=2,
    streams=4,
    threads=1,
    model=LSTMShape(cells=24, projection=16, delay=1),
    optimizer=SGDConfig(0.1),
    schedule=NewbobConfig(stop=-1e9),
    loop=LoopConfig(log_steps=1),
)


CODECS: Mapping[str, Codec] = {"store": TopK(k=6)}


def make_learnable_store(
    root: Path, config: TeacherConfig = TEACHER, codecs: Mapping[str, Codec] = CODECS
) -> Path:
    """``root/corpus``, a teacher of it in ``root/teacher``, and its stores by name; ``root/store``."""
    corpus = make_learnable_corpus(root / "corpus")
    train_teacher(open_examples(root / "corpus"), config, root / "teacher", Silent())
    teacher = load_teacher(root / "teacher")
    assert teacher is not None
    for name, codec in codecs.items():
        storage = open_storage(root / name, writable=True)
        generate(corpus, teacher, storage, codec, shard_frames=SHARD_FRAMES, chunk_frames=CHUNK_FRAMES)
    return root / "store"


class PullsThePlug(Silent):
    """A display that interrupts a run after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def update(self, sums: Sums) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
