"""The table of an experiment: who is in it, how sure its figures are, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.demo.paper import TABLE_1
from trainer.experiments.outcomes import FRAMES, METRICS, WORDS, Outcome, read_outcome
from trainer.experiments.resampling import Estimate, Resampled, difference
from trainer.experiments.statements import FAILS, HOLDS, SEEMS, Claim, statements
from trainer.experiments.systems import DNN, RNN_0, Scale, systems, train_arguments

WORDS_SAID = np.full(200, 10, np.int64)


def outcome(fa_train: float, fa_cv: float, errors: NDArray[np.int64]) -> Outcome:
    return Outcome(fa_train, fa_cv, errors, 8, 3, 60.0, [fa_cv / 2, fa_cv], {"lm_weight": 8.0})


def errors(rate: float, seed: int) -> NDArray[np.int64]:
    """About ``rate`` per cent of `WORDS_SAID`."""
    return np.random.default_rng(seed).binomial(WORDS_SAID, rate / 100).astype(np.int64)


def seeds(fa_train: float, fa_cv: float, rate: float, first: int) -> list[Outcome]:
    return [
        outcome(fa_train + 0.1 * seed, fa_cv + 0.1 * seed, errors(rate, first + seed)) for seed in range(3)
    ]


def test_the_table_has_the_papers_rows() -> None:
    titles = [DNN, *(system.title for system in systems([1.0, 2.0]))]
    assert titles == list(TABLE_1)
    names = [system.name for system in systems([1.0, 2.0, 4.5])]
    assert len(set(names)) == len(names) == 10


def test_students_are_asked_for_what_their_rows_say() -> None:
    by_title = {system.title: system for system in systems([1.0, 2.0])}
    hard = train_arguments(by_title[RNN_0], Scale.PAPER, 0.5)
    assert hard == ["--preset", "paper", "--targets", "hard"]
    reg = train_arguments(by_title["RNN-T2 (reg.)"], Scale.DEMO, 0.5)
    options = dict(zip(reg[::2], reg[1::2], strict=True))
    assert options["--targets"] == "reg"
    assert options["--temperature"] == "2"
    assert options["--alpha"] == "0.5"
    soft = train_arguments(by_title["RNN-T2 (soft)"], Scale.DEMO, 0.5)
    rate = float(dict(zip(soft[::2], soft[1::2], strict=True))["--learning-rate"])
    assert float(options["--learning-rate"]) * (0.5 + 2.0**2) == pytest.approx(rate, rel=0.01)


def test_a_rate_lies_in_its_interval_and_all_systems_share_their_utterances() -> None:
    same = errors(20, 0)
    found = Resampled({"a": [same], "b": [same], "c": [2 * same]}, WORDS_SAID)
    rate = found.word_error_rate("a")
    assert rate.value == pytest.approx(100 * same.sum() / WORDS_SAID.sum())
    assert rate.low is not None
    assert rate.high is not None
    assert rate.value - 4 < rate.low < rate.value < rate.high < rate.value + 4
    # Drawn apart, equals would seem to differ.
    assert found.reduction("a", "b") == Estimate(0.0, 0.0, 0.0)
    half = found.reduction("a", "c")
    assert (half.value, half.low, half.high) == pytest.approx((50, 50, 50))
    assert found.reduction("c", "a").value == pytest.approx(-100)


def test_seeds_that_differ_widen_the_interval() -> None:
    def interval(*rates: float) -> tuple[float, float]:
        seeds = [errors(rate, 0) for rate in rates]
        found = Resampled({"a": seeds}, WORDS_SAID).word_error_rate("a")
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high

    alike, apart = interval(20, 20, 20), interval(10, 20, 30)
    assert apart[0] < alike[0] - 3
    assert apart[1] > alike[1] + 3


def test_the_difference_of_means_has_the_interval_of_welch() -> None:
    found = difference([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    # t of 2 degrees of freedom at 97.5 %: 4.3027; the standard error is 1 / √3.
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert difference([3.0], [1.0]) == Estimate(2.0, None, None)
    # Against one that is given: 2 ± 4.3027 / √3.
    found = difference([1.0, 2.0, 3.0], [0.0])
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert difference([0.0], [1.0, 2.0, 3.0]) == Estimate(
        -2.0, *(-bound for bound in (found.high, found.low) if bound is not None)
    )
    assert difference([3.0, 3.0], [1.0, 1.0]) == Estimate(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(2, 1, 3), HOLDS),
        (Estimate(2, -1, 5), SEEMS),
        (Estimate(0, -1, 1), FAILS),
        (Estimate(-2, -3, -1), FAILS),
    ],
)
def test_a_claim_holds_if_chance_alone_would_not_show_it(estimate: Estimate, verdict: str) -> None:
    assert Claim("", "%", estimate).verdict == verdict


def papers_table(**changed: tuple[float, float, float]) -> list[str]:
    """The verdicts on a table with the paper's figures, but for some."""
    students = systems([1.0, 2.0])
    figures: dict[str, tuple[float, float, float]] = {**TABLE_1, **changed}
    outcomes = {title: seeds(*row, 100 * number) for number, (title, row) in enumerate(figures.items())}
    rates = Resampled(
        {title: [each.errors for each in found] for title, found in outcomes.items()}, WORDS_SAID
    )
    return [statement.verdict for statement in statements(students, outcomes, rates)]


def test_statements_follow_the_table() -> None:
    first, _, _, fourth, _ = papers_table()
    # 2,000 words do not tell 11.4 from 13.6 %, but three seeds frame accuracies that differ by two points.
    assert (first, fourth) == (SEEMS, HOLDS)
    first, *_ = papers_table(**{RNN_0: (67.3, 51.9, 20.0)})
    assert first == HOLDS
    # An RNN-0 that makes few errors: labels alone are best.
    first, _, third, _, _ = papers_table(**{RNN_0: (67.3, 51.9, 5.0)})
    assert (first, third) == (FAILS, FAILS)
    *_, fourth, _ = papers_table(**{"RNN-T2 (pretrain)": (64.6, 40.0, 10.6)})
    assert fourth == FAILS


def test_without_both_temperatures_they_are_not_compared() -> None:
    students = systems([2.0])
    outcomes = {title: seeds(60, 50, 10, 0) for title in [DNN, *(student.title for student in students)]}
    rates = Resampled(
        {title: [each.errors for each in found] for title, found in outcomes.items()}, WORDS_SAID
    )
    assert len(statements(students, outcomes, rates)) == 4


def test_an_outcome_is_what_the_commands_wrote(tmp_path: Path) -> None:
    accuracy = {split: {"frame_accuracy": value} for split, value in (("train", 60.0), ("cv", 40.0))}
    (tmp_path / FRAMES).write_text(json.dumps({"splits": accuracy}))
    heard = {"u1": "one two", "u2": ""}
    decoded = {"heard": heard, "lm_weight": 8.0, "insertion_penalty": 0.5}
    (tmp_path / WORDS).write_text(json.dumps({"words": {"test": decoded}}))
    epochs = [{"objective": kind, "seconds": 2.0, "cv_accuracy": 30.0} for kind in ("soft at T = 2", "hard")]
    (tmp_path / METRICS).write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    texts = {"u1": ["one", "two", "three"], "u2": ["four"], "u3": ["five", "six"]}
    found = read_outcome(tmp_path, texts, "test")
    assert found.errors.tolist() == [1, 1, 2]
    assert (found.fa_train, found.fa_cv, found.epochs, found.taught_epochs) == (60.0, 40.0, 2, 1)
    assert (found.seconds, found.curve) == (4.0, [30.0, 30.0])
    assert found.setting == {"lm_weight": 8.0, "insertion_penalty": 0.5}
