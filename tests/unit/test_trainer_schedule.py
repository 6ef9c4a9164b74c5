"""Kaldi's halving schedule."""

from __future__ import annotations

import json

from trainer.schedule import Newbob, NewbobConfig


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
    assert Newbob.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule
