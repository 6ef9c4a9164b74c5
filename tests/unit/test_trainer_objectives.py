"""Losses and their gradients against the closed forms of the paper, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from softstore.errors import InvalidInputError
from trainer.objectives import Kind, Objective, soft_cross_entropy

FRAMES, CLASSES, T, ALPHA = 5, 7, 2.0, 0.3


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(FRAMES, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def teacher() -> Tensor:
    return torch.randn(FRAMES, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


LABELS = torch.tensor([0, 6, 3, 3, 1])
ONE_HOT = torch.nn.functional.one_hot(LABELS, CLASSES).double()


def softener(teacher: Tensor) -> Callable[[float], Tensor]:
    return lambda temperature: torch.log_softmax(teacher / temperature, dim=-1)


def gradient(objective: Objective, logits: Tensor, teacher: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(objective.loss(leaf, LABELS, softener(teacher)), leaf)
    return found


def test_hard(logits: Tensor, teacher: Tensor) -> None:
    y = logits.softmax(-1)
    torch.testing.assert_close(gradient(Objective(Kind.HARD), logits, teacher), y - ONE_HOT)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_soft(logits: Tensor, teacher: Tensor, temperature: float) -> None:
    expected = logits.softmax(-1) - (teacher / temperature).softmax(-1)
    torch.testing.assert_close(gradient(Objective(Kind.SOFT, temperature), logits, teacher), expected)


def test_reg_scales_the_soft_gradient_by_the_squared_temperature(logits: Tensor, teacher: Tensor) -> None:
    y, p = logits.softmax(-1), (teacher / T).softmax(-1)
    expected = ALPHA * (y - ONE_HOT) + T**2 * (y - p)
    torch.testing.assert_close(gradient(Objective(Kind.REG, T, ALPHA), logits, teacher), expected)


def test_student_temperature(logits: Tensor, teacher: Tensor) -> None:
    tau = 3.0
    y, y_tau, p = logits.softmax(-1), (logits / tau).softmax(-1), (teacher / T).softmax(-1)
    soft = Objective(Kind.SOFT, T, student_temperature=tau)
    torch.testing.assert_close(gradient(soft, logits, teacher), (y_tau - p) / tau)
    reg = Objective(Kind.REG, T, ALPHA, tau)
    expected = ALPHA * (y - ONE_HOT) + T**2 * (y_tau - p) / tau
    torch.testing.assert_close(gradient(reg, logits, teacher), expected)


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_the_value_of_reg_is_the_sum_of_its_parts(logits: Tensor, teacher: Tensor, tau: float) -> None:
    log_y, log_y_tau = logits.log_softmax(-1), (logits / tau).log_softmax(-1)
    p = (teacher / T).softmax(-1)
    expected = -(ALPHA * (ONE_HOT * log_y).sum() + T**2 * (p * log_y_tau).sum())
    found = Objective(Kind.REG, T, ALPHA, tau).loss(logits, LABELS, softener(teacher))
    torch.testing.assert_close(found, expected)


def test_soft_cross_entropy_is_differentiated_rightly(logits: Tensor, teacher: Tensor) -> None:
    targets = 3 * teacher.softmax(-1)
    leaf = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: 0.5 * soft_cross_entropy(z, targets), (leaf,))


def test_hard_never_asks_the_teacher(logits: Tensor) -> None:
    objective = Objective(Kind.HARD, T)
    assert not objective.uses_targets
    assert torch.isfinite(objective.loss(logits, LABELS))


@pytest.mark.parametrize(
    "bad", [{"temperature": 0.0}, {"student_temperature": float("nan")}, {"alpha": -1.0}]
)
def test_nonsense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        Objective(Kind.REG, **bad)
