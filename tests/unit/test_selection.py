"""Choosing utterances by manifest columns."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from softstore import Corpus, InvalidInputError, Store
from softstore.selection import select

TABLE = pa.table(
    {
        "utterance_id": ["a", "b", "c", "d"],
        "split": ["train", "cv", "train", None],
        "num_frames": pa.array([10, 20, 30, 40], pa.int32()),
        "snr_db": [5.0, 10.0, None, 20.0],
        "noisy": [True, False, True, True],
    }
)


def ids(where: pc.Expression | None = None, **equals: Any) -> list[str]:
    return list(select(TABLE, where, equals)["utterance_id"].to_pylist())


@pytest.mark.parametrize(
    ("where", "equals", "found"),
    [
        (None, {}, "abcd"),
        (None, {"split": "train"}, "ac"),
        (None, {"split": ["cv", "train"]}, "abc"),
        (None, {"split": ()}, ""),
        (None, {"split": None}, "d"),
        (None, {"split": {None, "cv"}}, "bd"),
        (None, {"utterance_id": np.array(["d", "a", "z"])}, "ad"),
        (None, {"num_frames": 20.0}, "b"),
        (None, {"num_frames": range(10, 35)}, "abc"),
        (None, {"noisy": True, "split": "train"}, "ac"),
        (None, {"split": pa.scalar("cv")}, "b"),
        (pc.field("snr_db") < 15, {}, "ab"),
        (pc.field("snr_db") < 15, {"split": "cv"}, "b"),
        ((pc.field("num_frames") > 10) & (pc.field("num_frames") <= 30), {}, "bc"),
        (pc.field("snr_db").is_null(), {}, "c"),
    ],
)
def test_rows_fulfil_all_conditions(where: pc.Expression, equals: dict[str, Any], found: str) -> None:
    assert ids(where, **equals) == list(found)


@pytest.mark.parametrize(
    ("equals", "named"),
    [
        ({"colour": "red"}, r"no manifest column 'colour'; there are utterance_id \(string\)"),
        ({"snr_db": "loud"}, "'snr_db' holds double, which 'loud' is not"),
        ({"split": 3}, "'split' holds string, which 3 is not"),
        ({"split": b"cv"}, "'split' holds string, which b'cv' is not"),
        ({"num_frames": 2.5}, "'num_frames' holds int32, which 2.5 is not"),
        ({"num_frames": 2**40}, "'num_frames' holds int32"),
        ({"num_frames": [10, "x"]}, "'num_frames' holds int32"),
        ({"noisy": 1}, "'noisy' holds bool"),
        ({"split": {"a": 1}}, "'split' holds string"),
        ({"split": "\ud800"}, "'split' holds string"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(equals: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        ids(**equals)


@pytest.mark.parametrize(
    "where", [pc.field("colour") == 1, pc.field("snr_db") < "loud", pc.field("snr_db"), "split == 'cv'", 3]
)
def test_a_condition_that_does_not_fit_is_refused(where: Any) -> None:
    with pytest.raises(InvalidInputError, match="condition"):
        ids(where)


def test_a_selection_is_a_sequence_of_utterances(store: Store) -> None:
    found = store.utterances(pc.field("snr_db") > 0, split="train")
    assert found.ids == ["b", "c", "e/with slash", "ü nicode", "g"]
    assert len(found) == 5
    assert found.num_frames == 300 + 200 + 65 + 1 + 512
    assert [utterance.utterance_id for utterance in found] == found.ids
    assert found[1].utterance_id == found[-4].utterance_id == "c"
    assert found[1:3].ids == ["c", "e/with slash"]
    assert found[::-2].ids == found.ids[::-2]
    assert found[3:1].ids == []
    with pytest.raises(IndexError):
        found[5]
    np.testing.assert_array_equal(found[0].posteriors(2.0), store["b"].posteriors(2.0))


def test_a_selection_reads_no_frames(own_store: Store) -> None:
    for track in ("features", "labels", "targets"):
        shutil.rmtree(Path(own_store.url) / track)
    assert own_store.utterances(speaker=["speaker-0-train", "speaker-1-train"]).table.num_rows == 4


def test_scanning_takes_the_same_conditions(store: Store, corpus: Corpus) -> None:
    where = pc.field("num_frames") >= 200
    for collection in (store, corpus):
        scanned = [utterance.utterance_id for utterance in collection.scan(where, split="train")]
        assert scanned == collection.utterances(where, split="train").ids == ["b", "c", "g"]
