"""Means over frames worked out by hand, and utterances told apart by what the manifest says of them."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
import torch

from softstore.errors import InvalidInputError
from trainer.evaluation.figure import hardest
from trainer.evaluation.groups import MOST_GROUPS, groups_of
from trainer.evaluation.scores import BINS, Scores, Tally

FRAMES = [
    # Confidence, whether it is right, group.
    *[(0.95, True, 1)] * 3,
    (0.95, False, 1),
    *[(0.65, True, 2)] * 3,
    *[(0.55, False, 2)] * 2,
    (0.57, True, 2),
]


def tally() -> Tally:
    """The ten frames, of two classes, in two goes; all of them are of group 0 too."""
    confidence = torch.tensor([frame[0] for frame in FRAMES], dtype=torch.float64)
    log_y = torch.stack([confidence, 1 - confidence], dim=1).log().float()
    labels = torch.tensor([0 if right else 1 for _, right, _ in FRAMES])
    divergence = torch.arange(10.0)
    groups = [torch.zeros(10, dtype=torch.int64), torch.tensor([group for *_, group in FRAMES])]
    found = Tally(3, (2.0,))
    for rows in (slice(0, 4), slice(4, 10)):
        found.add(log_y[rows], labels[rows], [divergence[rows]], [group[rows] for group in groups])
    return found


def test_scores_are_those_worked_out_by_hand() -> None:
    scores = tally().scores(0, utterances=3)
    right = 3 * math.log(0.95) + 3 * math.log(0.65) + math.log(0.57)
    wrong = math.log(0.05) + 2 * math.log(0.45)
    # Three bins: 4 x .95 = 3.80 against 3; 3 x .65 = 1.95 against 3; 2 x .55 + .57 = 1.67 against 1.
    assert scores.calibration_error == pytest.approx(100 * (0.80 + 1.05 + 0.67) / 10, rel=1e-6)
    assert scores.frame_accuracy == pytest.approx(70)
    assert scores.cross_entropy == pytest.approx(-(right + wrong) / 10, rel=1e-6)
    assert scores.kl == {"2": 4.5}
    assert (scores.utterances, scores.frames) == (3, 10)


def test_groups_are_scored_apart() -> None:
    first, second = tally().scores(1, 1), tally().scores(2, 2)
    assert (first.frames, second.frames) == (4, 6)
    assert first.frame_accuracy == pytest.approx(75)
    assert first.calibration_error == pytest.approx(20, rel=1e-6)
    assert second.kl == {"2": pytest.approx((4 + 5 + 6 + 7 + 8 + 9) / 6)}


def test_bins_are_fifteen_of_equal_width() -> None:
    bins = tally().reliability(0)
    assert [bin_.above for bin_ in bins] == pytest.approx([100 * n / 15 for n in range(15)])
    assert [bin_.upto for bin_ in bins] == pytest.approx([100 * n / 15 for n in range(1, 16)])
    filled = {number: bin_ for number, bin_ in enumerate(bins) if bin_.frames}
    assert {number: bin_.frames for number, bin_ in filled.items()} == {8: 3, 9: 3, 14: 4}
    assert filled[8].confidence == pytest.approx(100 * 1.67 / 3)
    assert filled[8].frame_accuracy == pytest.approx(100 / 3)
    assert bins[0].confidence is None
    assert bins[0].frame_accuracy is None


def test_certainty_falls_into_the_last_bin() -> None:
    found = Tally(1)
    found.add(torch.tensor([[0.0, -math.inf]]), torch.tensor([0]), [], [torch.tensor([0])])
    assert found.reliability(0)[BINS - 1].frames == 1
    assert found.scores(0, 1).calibration_error == 0


TABLE = pa.table(
    {
        "utterance_id": ["a", "b", "c", "d"],
        "snr_db": [10, 5, None, 10],
        "speaker": ["", "", "", ""],
        "objects": pa.array([None, [1], None, None], pa.list_(pa.int32())),
    }
)


def test_utterances_with_the_same_value_are_a_group() -> None:
    (found,) = groups_of(TABLE, ["snr_db", "snr_db"])
    assert found.values == ["5", "10", "(none)"]
    assert found.of_utterance.tolist() == [1, 0, 2, 1]
    assert found.utterances() == [1, 2, 1]


def test_unless_asked_utterances_are_told_apart_by_what_is_usual_and_says_something() -> None:
    assert groups_of(TABLE, None) == []
    named = TABLE.set_column(2, "speaker", [["anna", None, "anna", "bob"]])
    (found,) = groups_of(named, None)
    assert found.column == "speaker"
    assert found.values == ["anna", "bob", "(none)"]


@pytest.mark.parametrize(("column", "said"), [("speeker", "there are utterance_id"), ("objects", "lists")])
def test_columns_that_tell_nothing_apart_are_refused(column: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        groups_of(TABLE, [column])


def test_too_many_groups_are_refused() -> None:
    table = pa.table({"number": range(MOST_GROUPS + 1)})
    with pytest.raises(InvalidInputError, match="100,001 values"):
        groups_of(table, ["number"])


def test_the_hardest_groups_keep_their_order() -> None:
    groups = {
        name: Scores(1, 1, accuracy, 0, 0, {})
        for name, accuracy in {"a": 50, "b": 90, "c": 10, "d": 60}.items()
    }
    assert list(hardest(groups, 2)) == ["a", "c"]
    assert list(hardest(groups, 9)) == ["a", "b", "c", "d"]
