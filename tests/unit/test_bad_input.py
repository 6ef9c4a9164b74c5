"""What people give by mistake: one clear sentence, or the right answer, and nothing lost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import softstore
from softstore import ConflictError, InvalidInputError, NotFoundError, Recorder, Store
from softstore.codecs import Float32, TopK

CLASSES = 20
ROW = torch.linspace(-3, 2, CLASSES)
GOOD = ROW.repeat(4, 1)


def recorder(path: Path, **changes: Any) -> Recorder:
    given: dict[str, Any] = {"class_count": CLASSES, "codec": Float32(), "teacher": "t"}
    return softstore.create(path, **given | {"shard_frames": 32, "chunk_frames": 8} | changes)


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """A recorder with one utterance; whatever is refused, that one and a last one must be stored."""
    tmp_path = tmp_path_factory.mktemp("refusals")
    with recorder(tmp_path / "store") as writing:
        writing.add("good", GOOD, features=GOOD[:, :3], labels=[0, 1, 2, 3], snr_db=1.0)
        yield writing
        writing.add("last", GOOD, features=GOOD[:, :3], labels=[0, 1, 2, 3], snr_db=None)
    store = softstore.open(tmp_path / "store")
    assert store.utterances().ids == ["good", "last"]
    np.testing.assert_allclose(store["last"].posteriors(), torch.softmax(GOOD, -1), atol=1e-6)


def with_value(value: float, where: Any = (2, 7)) -> torch.Tensor:
    logits = GOOD.clone()
    logits[where] = value
    return logits


@pytest.mark.parametrize(
    ("logits", "named"),
    [
        (with_value(math.nan), "is not finite in frame 2"),
        (with_value(math.inf), "is not finite in frame 2"),
        (with_value(-math.inf, 3), "is not finite in frame 3"),
        (GOOD.double() * 1e300, "is not finite"),
        (GOOD[:, :-1], r"\(4, 19\) for 'bad', not \(4, 20\)"),
        (GOOD[0], r"\(20,\) for 'bad', not \(20, 20\)"),
        (GOOD[None], r"\(1, 4, 20\) for 'bad'"),
        (GOOD[:0], "'bad' has no frames"),
        (np.empty((0, CLASSES)), "'bad' has no frames"),
        ([], "'bad' has no frames"),
        (1.0, "'bad' has no frames"),
        (GOOD.repeat(9, 1), "'bad' has 36 frames, a shard has room for 32"),
        (np.full((4, CLASSES), "x"), "logits of 'bad' are no array of numbers"),
        ([[1.0], [1.0, 2.0]], "logits of 'bad' are no array of numbers"),
        (None, "logits of 'bad' are no array of numbers"),
        (GOOD > 0, "logits of 'bad' are torch.bool"),
        (GOOD.numpy() * 1j, "logits of 'bad' are torch.complex"),
    ],
)
def test_logits_that_cannot_be_used(writing: Recorder, logits: Any, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        writing.add("bad", logits, features=GOOD[:, :3], labels=[0, 1, 2, 3])
    assert "bad" not in writing


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"features": None}, "'bad' has no features, the others of .* have float32 × 3"),
        ({"features": GOOD[:, :4]}, "'bad' has float32 × 4 features"),
        ({"features": GOOD[:, :3].half()}, "'bad' has float16 × 3 features"),
        ({"features": GOOD[:3, :3]}, r"features of 'bad' have the shape \(3, 3\), not \(4, dimensions\)"),
        ({"features": with_value(math.nan)[:, :3] * math.nan}, "features of 'bad' are not finite"),
        ({"labels": None}, "'bad' has no labels, the others of .* have uint16"),
        ({"labels": [0, 1, 2]}, r"labels of 'bad' are torch.int64 of the shape \(3,\)"),
        ({"labels": [0, 1, 2, 3.5]}, "labels of 'bad' are torch.float64"),
        ({"labels": [0, 1, 2, CLASSES]}, "labels of 'bad' are not all between 0 and 19"),
        ({"labels": [0, 1, 2, -1]}, "labels of 'bad' are not all between 0 and 19"),
        ({"speaker": 7}, "'speaker' of utterance 'bad' is to hold text, not 7"),
        ({"text": None}, "'text' of utterance 'bad' is to hold text, not None"),
        ({"snr_db": "loud"}, "'snr_db' of utterance 'bad' is to hold numbers, not 'loud'"),
        ({"snr_db": True}, "'snr_db' of utterance 'bad' is to hold numbers, not True"),
        ({"snr_db": math.nan}, "'snr_db' of utterance 'bad' cannot hold nan"),
        ({"count": 2**60}, "'count' of utterance 'bad' cannot hold"),
        ({"where": [1, 2]}, r"'where' of utterance 'bad' cannot hold \[1, 2\]"),
        ({"where": "\ud800"}, "'where' of utterance 'bad' cannot hold"),
        ({"shard": 3}, "'shard' of utterance 'bad' is softstore's own"),
        ({"objects": None}, "'objects' of utterance 'bad' is softstore's own"),
        ({"max_kl_t2": 0.0}, "'max_kl_t2' of utterance 'bad' is softstore's own"),
    ],
)
def test_other_things_that_cannot_be_used(writing: Recorder, changes: dict[str, Any], named: str) -> None:
    given: dict[str, Any] = {"features": GOOD[:, :3], "labels": np.array([0, 1, 2, 3], np.int16)} | changes
    with pytest.raises(InvalidInputError, match=named):
        writing.add("bad", GOOD, **given)


def test_a_refused_utterance_does_not_decide_what_a_column_holds(tmp_path: Path) -> None:
    with recorder(tmp_path / "store") as writing:
        with pytest.raises(InvalidInputError, match="not finite"):
            writing.add("bad", with_value(math.nan), features=GOOD[:, :3], depth="deep")
        writing.add("good", GOOD, depth=3)
    store = softstore.open(tmp_path / "store")
    assert store["good"].row["depth"] == 3
    assert list(store.attributes.tracks) == ["targets/log_posteriors"]


@pytest.mark.parametrize(("name", "named"), [("", "empty id"), (7, "not 7"), ("\udc80", "cannot hold")])
def test_ids_that_cannot_be_used(writing: Recorder, name: Any, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        writing.add(name, GOOD, features=GOOD[:, :3], labels=[0, 1, 2, 3])


def test_the_same_id_twice(writing: Recorder) -> None:
    with pytest.raises(ConflictError, match=r"'good' is in .* already"):
        writing.add("good", GOOD + 1, features=GOOD[:, :3], labels=[0, 1, 2, 3])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5, unique=True
    )
)
@example(
    ["a/b", "/", "..", "../x", "a b", " ", "ü", "u\u0308", "\U0001f600", "x" * 1000, "\0", "\n", "%2F", "%"]
)
def test_any_text_is_an_id(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("ids")
    with recorder(path / "store", shard_frames=8) as writing:
        for number, name in enumerate(ids):
            writing.add(name, GOOD + number * ROW, text=name, speaker=name)
    store = softstore.open(path / "store")
    assert store.utterances().ids == ids
    for number, name in enumerate(ids):
        assert store.utterances(speaker=name).ids == [name]
        np.testing.assert_allclose(
            store[name].posteriors(2.0), torch.softmax((GOOD + number * ROW) / 2, -1), atol=1e-6
        )
    for name in ("", "nobody has this one", ids[0] + "x"):
        if name not in ids:
            with pytest.raises(NotFoundError):
                store[name]


@pytest.mark.parametrize("temperature", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 0.0099])
def test_temperatures_that_there_are_not(store: Store, temperature: float) -> None:
    for call in (store["a"].posteriors, store["a"].log_posteriors):
        with pytest.raises(InvalidInputError, match="temperature must be a finite number"):
            call(temperature)
    with pytest.raises(InvalidInputError, match="temperature must be a finite number"):
        store["a"].top_k(3, temperature)


@pytest.mark.parametrize("codec", [Float32(), TopK(k=5)])
def test_the_coldest_and_the_hottest(tmp_path: Path, codec: Float32 | TopK) -> None:
    with recorder(tmp_path / "store", codec=codec) as writing:
        writing.add("a", GOOD)
    utterance = softstore.open(tmp_path / "store")["a"]
    np.testing.assert_allclose(utterance.posteriors(1e9), 1 / CLASSES, atol=1e-6)
    np.testing.assert_allclose(utterance.posteriors(0.01), np.eye(CLASSES)[[CLASSES - 1] * 4], atol=1e-6)
    assert np.isfinite(utterance.log_posteriors(0.01)).all()


@pytest.mark.parametrize("k", [0, -1, 121])
def test_numbers_of_classes_that_there_are_not(store: Store, k: int) -> None:
    with pytest.raises(InvalidInputError, match=f"between 1 and the 120 classes, not {k}"):
        store["a"].top_k(k)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"class_count": 1}, "class_count"),
        ({"class_count": 0}, "greater than"),
        ({"shard_frames": 0}, "shard_frames"),
        ({"chunk_frames": 5}, "cannot be cut into chunks of 5"),
        ({"frame_shift": 0.0}, "frame shift above 0"),
        ({"frame_shift": math.nan}, "frame shift above 0"),
        ({"teacher": ""}, "teacher's fingerprint"),
        ({"description": {"a": {1, 2}}}, "JSON"),
        ({"features": {"a": math.nan}}, "JSON"),
        ({"codec": TopK(k=20)}, "topk with k = 20"),
    ],
)
def test_stores_that_cannot_be_made(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        recorder(tmp_path / "store", **changes)
