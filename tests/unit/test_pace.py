"""The speed of a run and the time it will still take."""

from __future__ import annotations

import pytest

from softstore.pace import Pace
from softstore.progress import Phase, Standing


def at(seconds: float, frames: int, phase: Phase = Phase.RUNNING) -> Standing:
    return Standing(phase, frames=frames, total_frames=1_000_000, seconds=seconds)


def told(*standings: Standing) -> Pace:
    pace = Pace()
    for standing in standings:
        pace.tell(standing)
    return pace


def test_planning_and_fitting_do_not_count() -> None:
    pace = told(at(0, 0, Phase.PLANNING), at(1, 0, Phase.FITTING), at(61, 0))
    assert (pace.frames_per_second, pace.eta_seconds) == (None, None)
    pace.tell(at(63, 2000))
    assert pace.frames_per_second == 1000
    assert pace.eta_seconds == 998


def test_it_is_the_speed_of_late() -> None:
    slow = [at(second, 100 * second) for second in range(100)]
    fast = [at(100 + second, 10_000 + 5000 * second) for second in range(40)]
    assert told(*slow).frames_per_second == 100
    assert told(*slow, *fast).frames_per_second == 5000


def test_shards_that_take_minutes_are_looked_back_at() -> None:
    """Four workers, each of which hands in 32,768 frames every five minutes."""
    pace = told(
        at(0, 0),
        *(at(300 * n + worker, 32_768 * (4 * n + worker - 3)) for n in (1, 2) for worker in range(4)),
    )
    assert pace.frames_per_second == pytest.approx(4 * 32_768 / 300, rel=0.2)


def test_a_run_that_stands_still_gets_slower() -> None:
    pace = told(at(0, 0), at(10, 1000), at(110, 1000))
    assert pace.frames_per_second == pytest.approx(1000 / 110)


def test_nothing_is_left_of_a_run_that_is_done() -> None:
    assert told(at(0, 0), at(1, 1_000_000), at(1, 1_000_000, Phase.DONE)).eta_seconds is None
    assert told(at(0, 0), at(1, 1_000_100)).eta_seconds == 0
