"""What a training run is told: one frozen dataclass per component, and the presets.

Learning rates are for the mean over the frames of a full batch. Kaldi's nnet1 sums over frames instead: its
rate is ours divided by the frames of a batch (the paper's 0.0001 at 4 streams of 20 frames is 0.008 here).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from softstore.errors import InvalidInputError
from trainer.model_shapes import DNNShape, LSTMShape, StudentShape, at_least_one
from trainer.objectives import Kind, Objective
from trainer.optimizers import AdamWConfig, OptimizerConfig, SGDConfig
from trainer.schedule import CosineConfig, NewbobConfig, ScheduleConfig


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
    LOGITS = "logits"
    TOPK = "topk"
    TOPK_RENORMALISED = "topk-renormalised"


OPTIMIZERS: dict[str, tuple[OptimizerConfig, ScheduleConfig]] = {
    "sgd": (SGDConfig(0.008), NewbobConfig()),
    "adamw": (AdamWConfig(), CosineConfig()),
}
"""Each optimiser with the schedule that it is used with."""

Optimizer = Annotated[OptimizerConfig, Field(discriminator="kind")]
Schedule = Annotated[ScheduleConfig, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How a run is saved, watched and placed; nothing of this changes what is learnt.

    Attributes:
        checkpoint_seconds: within an epoch the state is saved so often.
        checkpoint_steps: and after so many updates; 0: not for that.
        log_steps: updates per line of ``steps.jsonl``.
        tensorboard: whether to write event files too.
        device: ``cpu``, ``cuda`` or ``cuda:1``; None: a GPU if there is one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    checkpoint_seconds: float = 300.0
    checkpoint_steps: int = 0
    log_steps: int = 100
    tensorboard: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        at_least_one(self, "log_steps")
        if self.checkpoint_seconds < 0 or self.checkpoint_steps < 0:
            raise InvalidInputError(
                "checkpoint_seconds and checkpoint_steps must be at least 0, not "
                f"{self.checkpoint_seconds} and {self.checkpoint_steps}."
            )


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
        amp: whether layers compute in bfloat16.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    epochs: int = 20
    batch_frames: int = 256
    block_frames: int = 4_000_000
    amp: bool = False
    seed: int = 0
    model: DNNShape = field(default_factory=DNNShape)
    optimizer: Optimizer = field(default_factory=lambda: SGDConfig(0.05))
    schedule: Schedule = field(default_factory=NewbobConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        at_least_one(self, "epochs", "batch_frames", "block_frames")

    def stages(self) -> list[Stage]:
        """What it is taught, in turn."""
        return [Stage(Objective(Kind.HARD), self.epochs, self.optimizer.learning_rate)]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """A student and how it is taught; the paper's unless told otherwise.

    Attributes:
        streams: of an LSTM: utterances trained side by side.
        chunk_frames: of an LSTM: steps of truncated back-propagation.
        batch_frames: of a model that is trained on whole utterances: frames of a batch, with padding.
        targets: see `trainer.objectives`.
        epochs: at most; of ``pretrain``, the epochs with hard targets.
        pretrain_epochs: of ``pretrain``, the epochs with soft targets that come first.
        refining_rate: of ``pretrain``, the rate that the hard targets start with; None: the first one again.
        amp: whether layers compute in bfloat16; weights, losses and a peephole LSTM's recurrence stay
            float32.
        threads: of the CPU; None: as torch has it. Small layers gain little from a second one, and lose
            much where anything else wants the cores: threads wait for each other several times a step.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    targets: Targets = Targets.HARD
    temperature: float = 1.0
    alpha: float = 0.5
    student_temperature: float = 1.0
    epochs: int = 20
    pretrain_epochs: int = 10
    refining_rate: float | None = None
    streams: int = 4
    chunk_frames: int = 20
    batch_frames: int = 4096
    amp: bool = False
    seed: int = 0
    threads: int | None = None
    model: Annotated[StudentShape, Field(discriminator="kind")] = field(default_factory=LSTMShape)
    optimizer: Optimizer = field(default_factory=lambda: SGDConfig(0.008))
    schedule: Schedule = field(default_factory=NewbobConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        at_least_one(self, "streams", "chunk_frames", "batch_frames", "epochs", "pretrain_epochs")
        if self.threads is not None:
            at_least_one(self, "threads")
        self.stages()

    def stages(self) -> list[Stage]:
        """What it is taught, in turn."""
        softness = (self.temperature, self.alpha, self.student_temperature)
        rate = self.optimizer.learning_rate
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


TEACHERS: dict[Preset, TeacherConfig] = {
    Preset.PAPER: TeacherConfig(),
    Preset.DEMO: TeacherConfig(
        epochs=4,
        model=DNNShape(layers=2, hidden=512),
        optimizer=SGDConfig(0.1, weight_decay=2e-4),
        schedule=NewbobConfig(keep_epochs=1),
    ),
}

STUDENTS: dict[Preset, StudentConfig] = {
    Preset.PAPER: StudentConfig(Targets.SOFT, temperature=2.0),
    Preset.DEMO: StudentConfig(
        Targets.SOFT,
        temperature=2.0,
        epochs=5,
        pretrain_epochs=3,
        refining_rate=0.1,
        streams=32,
        threads=1,
        model=LSTMShape(cells=192, projection=96),
        optimizer=SGDConfig(0.2),
        schedule=NewbobConfig(keep_epochs=2),
    ),
}
