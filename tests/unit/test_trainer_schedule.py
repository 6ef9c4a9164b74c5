"""Kaldi's halving schedule, and the warm-up with a cosine."""

from __future__ import annotations

import json

import pytest

from trainer.schedule import CosineConfig, Newbob, NewbobConfig, schedule_from_json


def run(losses: list[float], config: NewbobConfig | None = None) -> tuple[list[bool], list[float], Newbob]:
    schedule = Newbob(config or NewbobConfig(), learning_rate=1.0, best_loss=10.0)
    accepted, rates = [], []
    for loss in losses:
        accepted.append(schedule.judge(loss))
        rates.append(schedule.learning_rate)
        if schedule.finished:
            break
    return accepted, rates, schedule


def test_the_rate_stays_while_the_loss_falls_well() -> None:
    assert run([8.0, 6.0, 5.0])[1] == [1.0, 1.0, 1.0]


def test_once_halving_it_halves_after_every_epoch() -> None:
    assert run([8.0, 7.99, 6.0, 5.0])[1] == [1.0, 0.5, 0.25, 0.125]


def test_a_worse_epoch_is_rejected_and_the_best_loss_kept() -> None:
    accepted, rates, schedule = run([8.0, 9.0, 7.0])
    assert accepted == [True, False, True]
    assert rates == [1.0, 0.5, 0.25]
    assert schedule.best_loss == 7.0


def test_it_ends_when_halving_no_longer_helps() -> None:
    accepted, _, schedule = run([8.0, 7.99, 7.989, 1.0])
    assert schedule.finished
    assert accepted == [True, True, True]


def test_halving_starts_at_last_after_the_epochs_to_keep() -> None:
    assert run([8.0, 6.0, 5.0, 4.0], NewbobConfig(keep_epochs=2))[1] == [1.0, 0.5, 0.25, 0.125]


def test_it_survives_json() -> None:
    _, _, schedule = run([8.0, 9.0])
    assert schedule_from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


def test_a_cosine_rises_by_steps_and_falls_to_its_end() -> None:
    schedule = CosineConfig(warmup_steps=4, final=0.1).begin(learning_rate=2.0, epochs=2, loss=10.0)
    warming = [schedule.next_rate(0.0) for _ in range(4)]
    assert warming == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert schedule.next_rate(0.5) == pytest.approx(2 * (0.1 + 0.9 * (1 + 0.5**0.5) / 2))
    assert schedule.judge(9.0)
    assert schedule.next_rate(0.0) == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert not schedule.finished
    assert not schedule.judge(9.5), "no better than the best"
    assert schedule.finished
    assert schedule.next_rate(0.0) == pytest.approx(0.2)
    assert schedule_from_json(json.loads(json.dumps(schedule.to_json()))) == schedule
