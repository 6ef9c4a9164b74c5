"""Who stands in Table 1 of Tang, Wang & Zhang 2015, and how each is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

DNN, RNN_0 = "DNN", "RNN-0"
SOFT, REG, PRETRAIN = "soft", "reg", "pretrain"


class Scale(StrEnum):
    """How large models are, and how long they are trained: presets of `softstore train`."""

    DEMO = "demo"
    PAPER = "paper"


@dataclass(frozen=True, slots=True)
class System:
    """A student.

    Attributes:
        title: its row; of the paper's settings, as the paper has it.
        name: of its directory.
        targets: of `softstore train`.
        temperature: T; 1 with hard targets.
    """

    title: str
    name: str
    targets: str
    temperature: float = 1.0


_TITLES = {SOFT: "soft", REG: "reg.", PRETRAIN: "pretrain"}


def systems(temperatures: Sequence[float]) -> list[System]:
    """RNN-0, and every way to use soft targets at every temperature, in the paper's order."""
    taught = [
        System(f"RNN-T{t:g} ({title})", f"rnn-t{t:g}-{targets}", targets, t)
        for t in temperatures
        for targets, title in _TITLES.items()
    ]
    return [System(RNN_0, "rnn-0", "hard"), *taught]


_DEMO_SOFT_RATE = 0.6


def train_arguments(system: System, scale: Scale, alpha: float) -> list[str]:
    """Of `softstore train`.

    At the scale ``demo`` everybody sees each frame eight times, at learning rates that each kind of target
    likes: soft ones have smaller gradients, for even a good student errs little against them; and ``reg``
    sums gradients of the weight α + T².
    """
    asked = ["--preset", scale.value, "--targets", system.targets]
    if system.targets != "hard":
        asked += ["--temperature", f"{system.temperature:g}"]
    if system.targets == REG:
        asked += ["--alpha", f"{alpha:g}"]
    if scale is Scale.PAPER:
        return asked
    if system.targets == "hard":
        return [*asked, "--epochs", "8", "--learning-rate", "0.1", "--keep-epochs", "4"]
    if system.targets == PRETRAIN:
        return [*asked, "--pretrain-epochs", "3", "--epochs", "5", "--learning-rate", f"{_DEMO_SOFT_RATE}"]
    weight = alpha + system.temperature**2 if system.targets == REG else 1.0
    return [*asked, "--epochs", "8", "--learning-rate", f"{_DEMO_SOFT_RATE / weight:.3g}"]
