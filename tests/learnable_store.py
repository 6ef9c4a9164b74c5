"""A store with soft targets that can be learnt, made in a second, and runs on it that are over as soon."""

from __future__ import annotations

from pathlib import Path

from softstore.codecs import TopK
from softstore.generate import generate
from softstore.storage import open_storage
from tests.trainer_data import CHUNK_FRAMES, SHARD_FRAMES, make_learnable_corpus
from trainer.config import LoopConfig, StudentConfig, Targets, TeacherConfig
from trainer.examples import open_examples
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


def make_learnable_store(root: Path) -> Path:
    """``root/corpus``, a teacher of it in ``root/teacher``, and its store, which is returned."""
    corpus = make_learnable_corpus(root / "corpus")
    train_teacher(open_examples(root / "corpus"), TEACHER, root / "teacher", Silent())
    teacher = load_teacher(root / "teacher")
    assert teacher is not None
    storage = open_storage(root / "store", writable=True)
    generate(corpus, teacher, storage, TopK(k=6), shard_frames=SHARD_FRAMES, chunk_frames=CHUNK_FRAMES)
    return root / "store"
