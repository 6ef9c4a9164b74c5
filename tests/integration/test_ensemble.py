"""Several teachers as one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import softstore
from softstore import ConflictError, Ensemble, InvalidInputError, NotFoundError, Store
from softstore.codecs import Codec, Float32, TopK
from softstore.softening import kl_divergence

CLASSES = 30
LENGTHS = {"a": 40, "b": 7, "c/ü": 64, "d": 1}
TEMPERATURES = [0.5, 1.0, 2.0, 8.0]


def logits(teacher: int, utterance_id: str) -> Tensor:
    generator = torch.Generator().manual_seed(1000 * teacher + sum(map(ord, utterance_id)))
    return 4 * torch.randn(LENGTHS.get(utterance_id, 5), CLASSES, generator=generator)


def features(utterance_id: str) -> NDArray[np.float16]:
    return logits(0, utterance_id)[:, :3].half().numpy()


def teach(path: Path, teacher: int, ids: Iterable[str], codec: Codec | None = None, **given: Any) -> Store:
    with softstore.create(
        path,
        class_count=CLASSES,
        codec=codec or Float32(),
        teacher=f"teacher {teacher}",
        shard_frames=64,
        chunk_frames=16,
        **given,
    ) as recorder:
        for name in ids:
            recorder.add(name, logits(teacher, name), features=features(name), speaker=f"of {teacher}")
    return softstore.open(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    path = tmp_path_factory.mktemp("ensemble")
    return [
        teach(path / "1", 1, ["a", "b", "only here", "c/ü", "d"]),
        teach(path / "2", 2, ["d", "c/ü", "only there", "b", "a"]),
        teach(path / "3", 3, LENGTHS),
    ]


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_arithmetic_mixes_softened_posteriors(stores: list[Store], temperature: float) -> None:
    ensemble = Ensemble(stores, weights=[1, 2, 5])
    for utterance in ensemble.scan():
        softened = [torch.softmax(logits(n, utterance.utterance_id) / temperature, -1) for n in (1, 2, 3)]
        wanted = (1 * softened[0] + 2 * softened[1] + 5 * softened[2]) / 8
        np.testing.assert_allclose(utterance.posteriors(temperature), wanted, atol=1e-6)
        np.testing.assert_allclose(utterance.log_posteriors(temperature), wanted.log(), atol=1e-4)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_geometric_is_the_softened_mean_of_logits(stores: list[Store], temperature: float) -> None:
    ensemble = Ensemble(stores, weights=[1, 2, 5], mean="geometric")
    for utterance in ensemble.scan():
        mean = sum(weight * logits(n, utterance.utterance_id) for n, weight in ((1, 1), (2, 2), (3, 5)))
        wanted = torch.softmax(torch.as_tensor(mean) / 8 / temperature, -1)
        np.testing.assert_allclose(utterance.posteriors(temperature), wanted, atol=1e-6)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_one_teacher_is_itself_and_twice_the_same_is_once(stores: list[Store], mean: Any) -> None:
    alone = stores[0]["a"].posteriors(2.0)
    for members, weights in (([stores[0]], [7.0]), ([stores[0], stores[0]], [1e300, 1e299])):
        found = Ensemble(members, weights, mean)["a"].posteriors(2.0)
        np.testing.assert_allclose(found, alone, atol=1e-6)


def test_the_common_utterances_in_the_order_of_the_first(stores: list[Store]) -> None:
    ensemble = Ensemble(stores)
    assert len(ensemble) == 4
    assert ensemble.utterances().ids == ["a", "b", "c/ü", "d"]
    assert [utterance.utterance_id for utterance in ensemble.scan(pc.field("num_frames") > 5)] == [
        "a",
        "b",
        "c/ü",
    ]
    assert ensemble.utterances(speaker="of 2").ids == []
    assert "a" in ensemble
    assert "only here" not in ensemble
    with pytest.raises(NotFoundError, match=r"no utterance 'only here' in .*2, .*3"):
        ensemble["only here"]
    with pytest.raises(InvalidInputError, match="no manifest column 'mean_kl_t2'"):
        ensemble.utterances(pc.field("num_frames") > 5, mean_kl_t2=0.0)


def test_an_utterance_has_the_face_of_a_stored_one(stores: list[Store]) -> None:
    utterance = Ensemble(stores)["a"]
    np.testing.assert_array_equal(utterance.features(3, 9), features("a")[3:9].astype(np.float32))
    np.testing.assert_allclose(utterance.posteriors(2.0, 3, 9), utterance.posteriors(2.0)[3:9], atol=1e-6)
    top = utterance.top_k(4, 2.0)
    np.testing.assert_allclose(top.posteriors, -np.sort(-utterance.posteriors(2.0))[:, :4])
    assert (utterance.num_frames, utterance.speaker) == (40, "of 1")
    for call in (utterance.posteriors, utterance.log_posteriors):
        with pytest.raises(InvalidInputError, match="a has frames 0 to 40"):
            call(1.0, 3, 41)
    with pytest.raises(InvalidInputError, match="temperature"):
        utterance.posteriors(0.0)


def test_the_mixture_is_no_further_off_than_the_mean_of_the_certificates(tmp_path: Path) -> None:
    lossy = [teach(tmp_path / str(n), n, LENGTHS, TopK(k=5)) for n in (1, 2)]
    for utterance in Ensemble(lossy, weights=[3, 1]).scan():
        name = utterance.utterance_id
        for temperature in (1.0, 2.0, 4.0, 8.0):
            truth = 0.75 * torch.softmax(logits(1, name) / temperature, -1)
            truth += 0.25 * torch.softmax(logits(2, name) / temperature, -1)
            found = torch.from_numpy(utterance.log_posteriors(temperature))
            bounds = [store[name].row[f"mean_kl_t{temperature:g}"] for store in lossy]
            bound = 0.75 * bounds[0] + 0.25 * bounds[1]
            assert float(kl_divergence(truth.log(), found).mean()) <= bound + 1e-6


def test_stores_that_do_not_fit_together_are_refused(stores: list[Store], tmp_path: Path) -> None:
    path = tmp_path / "other"
    with softstore.create(path, class_count=CLASSES + 1, codec=Float32(), teacher="t") as recorder:
        recorder.add("a", torch.zeros(40, CLASSES + 1))
    with pytest.raises(ConflictError, match=r"class count 30, .* class count 31"):
        Ensemble([stores[0], softstore.open(path)])
    with pytest.raises(ConflictError, match=r"frame shift 0\.01, .* frame shift 0\.02"):
        Ensemble([stores[0], teach(tmp_path / "slow", 1, LENGTHS, frame_shift=0.02)])
    for name, given, what in (
        ("features", features("a") + 1, "other features"),
        ("frames", None, "another number of frames"),
    ):
        with softstore.create(tmp_path / name, class_count=CLASSES, codec=Float32(), teacher="t") as recorder:
            recorder.add("a", logits(1, "a")[: 40 if name == "features" else 39], features=given)
        with pytest.raises(ConflictError, match=f"'a' has {what}"):
            Ensemble([stores[0], softstore.open(tmp_path / name)])
    with pytest.raises(ConflictError, match="No utterance is in all"):
        Ensemble([stores[0], teach(tmp_path / "none", 1, ["only there"])])


def test_a_store_without_features_joins_in(stores: list[Store], tmp_path: Path) -> None:
    with softstore.create(tmp_path / "bare", class_count=CLASSES, codec=Float32(), teacher="t") as recorder:
        recorder.add("a", logits(4, "a"))
    assert Ensemble([stores[0], softstore.open(tmp_path / "bare")]).utterances().ids == ["a"]


@pytest.mark.parametrize(
    "weights",
    [[1], [1, 1, 1], [1, 0], [1, -1], [1, float("nan")], [1, float("inf")], [1e-300, 1e300]],
)
def test_weights_that_cannot_be_used_are_refused(stores: list[Store], weights: list[float]) -> None:
    with pytest.raises(InvalidInputError, match=r"[Ww]eights"):
        Ensemble(stores[:2], weights)


def test_other_arguments_that_cannot_be_used_are_refused(stores: list[Store]) -> None:
    with pytest.raises(InvalidInputError, match="at least one store"):
        Ensemble([])
    with pytest.raises(InvalidInputError, match="arithmetic or geometric, not 'median'"):
        Ensemble(stores, mean="median")  # type: ignore[arg-type]
