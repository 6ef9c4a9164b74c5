"""Losses and their gradients against the formulas of `trainer.objectives`, in float64, and their memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from softstore.codecs import Codec, Float16, Float32, TopK, UInt8
from softstore.errors import InvalidInputError
from trainer.config import StudentConfig, Targets
from trainer.objectives import Kind, Objective, Softener

FRAMES, CLASSES, K = 5, 9, 3
T, ALPHA = 2.0, 0.3
SETTINGS = [
    Objective(kind, temperature, ALPHA, tau)
    for kind, temperature, tau in product(Kind, (1.0, 2.0, 4.0), (1.0, 2.0))
]
SPARSE = (Kind.TOPK, Kind.TOPK_RENORMALISED)


def softener(codec: Codec, frames: int = FRAMES, classes: int = CLASSES) -> Softener:
    log_p = torch.log_softmax(normal(frames, classes, seed=1).float() * 3, dim=-1)
    encoded = {name: torch.from_numpy(rows) for name, rows in codec.encode(log_p).items()}
    return Softener(codec, classes, codec.unpack(encoded))


def stored_for(objective: Objective, frames: int = FRAMES, classes: int = CLASSES) -> Softener:
    return softener(TopK(K) if objective.kind in SPARSE else Float32(), frames, classes)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def labels(frames: int = FRAMES, classes: int = CLASSES) -> Tensor:
    return torch.randint(classes, (frames,), generator=torch.Generator().manual_seed(2))


def loss_and_gradient(
    objective: Objective, logits: Tensor, labels: Tensor, soften: Softener
) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    loss = objective.loss(leaf, labels, soften)
    (gradient,) = torch.autograd.grad(loss / 7, leaf)
    return loss.detach(), gradient * 7


def by_formula(objective: Objective, logits: Tensor, labels: Tensor, soften: Softener) -> Tensor:
    """The loss as it is defined, whole and in float64; autograd knows its gradient."""
    log_y = logits.log_softmax(-1)
    log_y_tau = (logits / objective.student_temperature).log_softmax(-1)
    hard = -log_y.gather(1, labels[:, None]).sum()
    if objective.kind is Kind.HARD:
        return hard
    log_p = soften(objective.temperature).double()
    soft = -(log_p.exp() * log_y_tau).sum()
    if objective.kind is Kind.SOFT:
        return soft
    if objective.kind is Kind.REG:
        return objective.alpha * hard + objective.temperature**2 * soft
    if objective.kind is Kind.LOGITS:
        z, v = (rows - rows.mean(-1, keepdim=True) for rows in (logits, soften(1).double()))
        return ((z - v) ** 2).sum() / 2
    inside = torch.zeros_like(logits, dtype=torch.bool)
    inside.scatter_(1, log_p.topk(K).indices, True)
    p, y = log_p.exp(), log_y_tau.exp()
    if objective.kind is Kind.TOPK_RENORMALISED:
        p = p * inside
        return -(p / p.sum(-1, keepdim=True) * log_y_tau).sum()
    q, r = ((rows * ~inside).sum(-1) for rows in (p, y))
    return -(p * log_y_tau * inside).sum() - (q * r.log()).sum()


@pytest.mark.parametrize("objective", SETTINGS, ids=str)
def test_gradients_are_those_of_the_losses(objective: Objective) -> None:
    leaf = normal(FRAMES, CLASSES).requires_grad_()
    soften = stored_for(objective)
    assert torch.autograd.gradcheck(lambda z: 0.5 * objective.loss(z, labels(), soften), (leaf,))


@pytest.mark.parametrize("objective", SETTINGS, ids=str)
def test_losses_are_what_they_are_defined_as_over_many_blocks_of_frames(objective: Objective) -> None:
    frames, classes = 300, 2008
    logits, right = 3 * normal(frames, classes), labels(frames, classes)
    soften = stored_for(objective, frames, classes)
    leaf = logits.clone().requires_grad_()
    expected = by_formula(objective, leaf, right, soften)
    (slopes,) = torch.autograd.grad(expected, leaf)
    loss, gradient = loss_and_gradient(objective, logits, right, soften)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, slopes, rtol=1e-5, atol=1e-6)
    loss, gradient = loss_and_gradient(objective, logits.float(), right, soften)
    assert loss.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.double(), slopes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", Kind)
def test_losses_of_half_precision_logits_are_those_of_the_same_numbers(kind: Kind) -> None:
    objective = Objective(kind, T)
    logits, soften = normal(FRAMES, CLASSES).bfloat16(), stored_for(objective)
    expected, slopes = loss_and_gradient(objective, logits.float(), labels(), soften)
    with torch.autocast("cpu", torch.bfloat16):
        loss, gradient = loss_and_gradient(objective, logits, labels(), soften)
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient.float(), slopes, rtol=0.02, atol=1e-3)


def test_matched_logits_know_no_constant() -> None:
    objective, soften = Objective(Kind.LOGITS), stored_for(Objective(Kind.LOGITS))
    shifts = torch.arange(FRAMES)[:, None] * 1.5
    log_p = soften(1).double()
    loss, gradient = loss_and_gradient(objective, log_p + shifts, labels(), soften)
    assert float(loss) < 1e-10
    assert float(gradient.abs().max()) < 1e-5
    one_off = log_p + shifts
    one_off[0, 0] += 1
    # Of an error of 1 in one of C logits, 1 - 1/C is left when the mean is taken out.
    loss, _ = loss_and_gradient(objective, one_off, labels(), soften)
    assert float(loss) == pytest.approx((1 - 1 / CLASSES) / 2, rel=1e-5)


@pytest.mark.parametrize("objective", [each for each in SETTINGS if each.uses_targets], ids=str)
def test_what_is_softened_beforehand_teaches_the_same(objective: Objective) -> None:
    logits, soften = normal(FRAMES, CLASSES), stored_for(objective)
    expected = loss_and_gradient(objective, logits, labels(), soften)
    found = loss_and_gradient(objective, logits, labels(), objective.softened(soften))
    torch.testing.assert_close(found, expected)
    some = loss_and_gradient(objective, logits[1:4], labels()[1:4], soften.span(1, 4))
    found = loss_and_gradient(objective, logits[1:4], labels()[1:4], objective.softened(soften).span(1, 4))
    torch.testing.assert_close(found, some)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_tail_is_one_class_with_the_mass_that_was_stored(temperature: float) -> None:
    """A student that says what the teacher did has no gradient, although the store knows K classes only."""
    logits = normal(FRAMES, CLASSES, seed=1) * 3
    objective = Objective(Kind.TOPK, temperature, student_temperature=temperature)
    _, gradient = loss_and_gradient(objective, logits, labels(), softener(TopK(K)))
    assert float(gradient.abs().max()) < 2e-3


def test_a_student_without_any_mass_in_the_tail_is_drawn_there() -> None:
    logits = torch.zeros(1, CLASSES)
    soften = softener(TopK(K), frames=1)
    logits.scatter_(1, soften.head(1).classes, 500.0)
    loss, gradient = loss_and_gradient(Objective(Kind.TOPK), logits, labels(1), soften)
    mass = float(soften.head(1).log_tail.exp())
    assert float(loss) == pytest.approx(math.log(K) + mass * (500 - math.log(CLASSES - K)))
    outside = torch.full_like(gradient, -mass / (CLASSES - K)).scatter(1, soften.head(1).classes, 0)
    found = gradient.scatter(1, soften.head(1).classes, 0)
    torch.testing.assert_close(found, outside)


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory of tensors that some work has in use at a time, beyond what there was."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        work()
    assert profile.profiler is not None
    assert profile.profiler.kineto_results is not None
    in_use = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            in_use += event.nbytes()
            most = max(most, in_use)
    return most


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.HARD])
def test_nothing_but_the_gradient_is_in_memory_for_all_frames(kind: Kind) -> None:
    objective = Objective(kind, T)
    frames, classes = 8192, 512
    soften = softener(TopK(K) if kind in SPARSE else UInt8(), frames, classes)
    logits, right = torch.zeros(frames, classes).requires_grad_(), labels(frames, classes)
    whole = frames * classes * logits.itemsize
    losses: list[Tensor] = []
    assert peak_bytes(lambda: losses.append(objective.loss(logits, right, soften))) < 1.3 * whole
    # Autograd multiplies it by what comes from above; a model's logits are gone by then.
    assert peak_bytes(losses.pop().backward) < 1.05 * whole
    assert peak_bytes(lambda: objective.loss(logits.detach(), right, soften)) < 0.3 * whole


def test_hard_never_asks_the_teacher() -> None:
    objective = Objective(Kind.HARD, T)
    assert not objective.uses_targets
    assert torch.isfinite(objective.loss(normal(FRAMES, CLASSES), labels()))


@pytest.mark.parametrize(
    "bad", [{"temperature": 0.0}, {"student_temperature": float("nan")}, {"alpha": -1.0}]
)
def test_nonsense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        Objective(Kind.REG, **bad)


@pytest.mark.parametrize(
    ("targets", "codec", "wanted"),
    [
        (Targets.SOFT, None, "softstore generate"),
        (Targets.TOPK, None, "softstore generate"),
        (Targets.TOPK, Float16(), "--targets soft"),
        (Targets.TOPK_RENORMALISED, UInt8(), "--codec topk"),
        (Targets.LOGITS, TopK(K), "--targets topk"),
    ],
)
def test_what_a_store_does_not_hold_is_not_learnt_from(
    targets: Targets, codec: Codec | None, wanted: str
) -> None:
    (stage,) = replace(StudentConfig(), targets=targets).stages()
    with pytest.raises(InvalidInputError, match=wanted):
        stage.objective.check_stored(codec, "here")
