"""What a training run is told: one frozen dataclass per component, and the presets.

Learning rates are for the mean over the frames of a full batch. Kaldi's nnet1 sums over frames instead: its
rate is ours divided by the frames of a batch (the paper's 0.0001 at 4 streams of 20 frames is 0.008 here).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from softstore.errors import InvalidInputError
from trainer.objectives import Kind, Objective
from trainer.schedule import NewbobConfig


class Preset(StrEnum):
    """The paper's sizes, or ones for two cores and a few minutes."""

    PAPER = "paper"
    DEMO = "demo"


class Targets(StrEnum):
    """What a student is taught by (see `trainer.objectives`)."""

    HARD = "hard"
    SOFT = "soft"
    REG = "reg"
    PRETRAIN = "pretrain"


@dataclass(frozen=True, slots=True)
class SGDConfig:
    """Stochastic gradient descent.

    Attributes:
        learning_rate: the first one, on the mean over a full batch's frames.
        clip_norm: gradients of a larger norm are scaled down to it.
        weight_decay: of all parameters, per update, times the rate.
    """

    learning_rate: float
    momentum: float = 0.9
    clip_norm: float = 5.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise InvalidInputError(f"The learning rate must be above 0, not {self.learning_rate}.")


@dataclass(frozen=True, slots=True)
class Stage:
    """Some epochs with one objective; the schedule starts afresh with each stage.

    Attributes:
        epochs: at most.
        learning_rate: the first one.
    """

    objective: Objective
    epochs: int
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """A DNN teacher; the paper's unless told otherwise.

    Attributes:
        batch_frames: frames of a minibatch.
        block_frames: frames shuffled together in memory; a corpus of fewer is read once and kept.
    """

    layers: int = 4
    hidden: int = 2048
    context: int = 5
    transform_dim: int = 200
    epochs: int = 20
    batch_frames: int = 256
    block_frames: int = 4_000_000
    sgd: SGDConfig = field(default_factory=lambda: SGDConfig(0.05))
    newbob: NewbobConfig = field(default_factory=NewbobConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least_one(self, "epochs", "batch_frames", "block_frames")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """An LSTMP student and how it is taught; the paper's unless told otherwise.

    Attributes:
        delay: the output for frame t comes with the input of frame t + delay.
        streams: utterances trained side by side.
        chunk_frames: steps of truncated back-propagation.
        targets: ``hard``, ``soft``, ``reg`` or ``pretrain`` (see `trainer.objectives`).
        epochs: at most; of ``pretrain``, the epochs with hard targets.
        pretrain_epochs: of ``pretrain``, the epochs with soft targets that come first.
        refining_rate: of ``pretrain``, the rate that the hard targets start with; None: the first one again.
        threads: of the CPU; None: as torch has it. Small layers gain little from a second one, and lose
            much where anything else wants the cores: threads wait for each other several times a step.
    """

    layers: int = 2
    cells: int = 800
    projection: int = 512
    delay: int = 5
    streams: int = 4
    chunk_frames: int = 20
    targets: Targets = Targets.HARD
    temperature: float = 1.0
    alpha: float = 0.5
    student_temperature: float = 1.0
    epochs: int = 20
    pretrain_epochs: int = 10
    refining_rate: float | None = None
    sgd: SGDConfig = field(default_factory=lambda: SGDConfig(0.008))
    newbob: NewbobConfig = field(default_factory=NewbobConfig)
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        _at_least_one(self, "streams", "chunk_frames", "epochs", "pretrain_epochs")
        self.stages()

    def stages(self) -> list[Stage]:
        """What it is taught, in turn."""
        softness = (self.temperature, self.alpha, self.student_temperature)
        rate = self.sgd.learning_rate
        if self.targets is Targets.PRETRAIN:
            return [
                Stage(Objective(Kind.SOFT, *softness), self.pretrain_epochs, rate),
                Stage(Objective(Kind.HARD), self.epochs, self.refining_rate or rate),
            ]
        if self.targets is Targets.HARD:
            return [Stage(Objective(Kind.HARD), self.epochs, rate)]
        return [Stage(Objective(Kind(self.targets), *softness), self.epochs, rate)]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _at_least_one(config: TeacherConfig | StudentConfig, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise InvalidInputError(f"{name} must be at least 1, not {getattr(config, name)}.")


TEACHERS: dict[Preset, TeacherConfig] = {
    Preset.PAPER: TeacherConfig(),
    Preset.DEMO: TeacherConfig(
        layers=2,
        hidden=512,
        epochs=4,
        sgd=SGDConfig(0.1, weight_decay=2e-4),
        newbob=NewbobConfig(keep_epochs=1),
    ),
}

STUDENTS: dict[Preset, StudentConfig] = {
    Preset.PAPER: StudentConfig(),
    Preset.DEMO: StudentConfig(
        cells=192,
        projection=96,
        streams=32,
        epochs=5,
        pretrain_epochs=3,
        refining_rate=0.1,
        sgd=SGDConfig(0.2),
        newbob=NewbobConfig(keep_epochs=2),
        threads=1,
    ),
}
