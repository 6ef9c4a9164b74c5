"""What Tang, Wang & Zhang 2015 say of their Table 1, and whether it holds of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.experiments.outcomes import Outcome
from trainer.experiments.resampling import Estimate, Resampled, difference
from trainer.experiments.systems import DNN, PRETRAIN, REG, RNN_0, SOFT, System

HOLDS, SEEMS, FAILS = "holds", "seems so, within chance", "does not hold"


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure that is above 0 if a part of a statement holds.

    Attributes:
        estimate: in ``unit``.
    """

    text: str
    unit: str
    estimate: Estimate

    @property
    def verdict(self) -> str:
        if self.estimate.value <= 0:
            return FAILS
        return HOLDS if self.estimate.is_positive else SEEMS

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True, slots=True)
class Statement:
    """Of the paper, in our words."""

    text: str
    claims: list[Claim]

    @property
    def verdict(self) -> str:
        """The weakest of its claims'."""
        return max((claim.verdict for claim in self.claims), key=(HOLDS, SEEMS, FAILS).index)

    def to_json(self) -> dict[str, Any]:
        claims = [claim.to_json() for claim in self.claims]
        return {"text": self.text, "verdict": self.verdict, "claims": claims}


def statements(
    students: Sequence[System], outcomes: Mapping[str, Sequence[Outcome]], rates: Resampled
) -> list[Statement]:
    """The paper's five, of those systems that there are.

    Args:
        outcomes: by title, of every seed.
        rates: of the same.
    """
    by_targets = {
        targets: [student for student in students if student.targets == targets]
        for targets in (SOFT, REG, PRETRAIN)
    }

    def more_accurate(split: str, ours: str, theirs: str) -> Claim:
        estimate = difference(*(_accuracies(outcomes[title], split) for title in (ours, theirs)))
        return Claim(f"frame accuracy on {split} of {ours} over {theirs}", "points", estimate)

    def fewer_errors(ours: str, theirs: str) -> Claim:
        return Claim(f"word errors of {theirs} that {ours} does not make", "%", rates.reduction(ours, theirs))

    def each(targets: str, claim: Callable[[str], Claim]) -> Iterator[Claim]:
        return (claim(student.title) for student in by_targets[targets])

    found = [
        Statement(
            "RNN-0 fits the training data better than the DNN, and yet makes no fewer word errors.",
            [more_accurate("train", RNN_0, DNN), fewer_errors(DNN, RNN_0)],
        ),
        Statement(
            "Soft targets alone bring the RNN to the DNN's word error rate or below.",
            list(each(SOFT, lambda title: fewer_errors(title, DNN))),
        ),
        Statement(
            "As regulariser and as pretraining, they bring it below both.",
            [
                fewer_errors(student.title, reference)
                for targets in (REG, PRETRAIN)
                for student in by_targets[targets]
                for reference in (RNN_0, DNN)
            ],
        ),
        Statement(
            "Pretraining lowers frame accuracy in training and raises it in cross-validation.",
            [
                *each(PRETRAIN, lambda title: more_accurate("train", RNN_0, title)),
                *each(PRETRAIN, lambda title: more_accurate("cv", title, RNN_0)),
            ],
        ),
    ]
    temperatures = {student.temperature: student.title for student in by_targets[PRETRAIN]}
    if {1.0, 2.0} <= temperatures.keys():
        one, two = temperatures[1.0], temperatures[2.0]
        found.append(
            Statement(
                "T = 2 is a little worse in frame accuracy than T = 1, and better in word errors.",
                [more_accurate("cv", one, two), fewer_errors(two, one)],
            )
        )
    return found


def _accuracies(outcomes: Sequence[Outcome], split: str) -> list[float]:
    return [outcome.fa_train if split == "train" else outcome.fa_cv for outcome in outcomes]
