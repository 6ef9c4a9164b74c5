"""Writing a store from an inference loop of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import softstore
from softstore import ConflictError, InvalidInputError, NotAStoreError, Recorder
from softstore.codecs import Codec, Float16, Float32, TopK
from softstore.encoding import LOWEST_LOG_POSTERIOR
from softstore.softening import kl_divergence, log_soften
from tests.samples import make_corpus
from tests.watched import KilledError, watched

CLASSES = 40
LENGTHS = {f"u{number}": 20 + number for number in range(10)}


def logits(utterance_id: str, frames: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(sum(map(ord, utterance_id)))
    return 4 * torch.randn(frames or LENGTHS[utterance_id], CLASSES, generator=generator) + 100


def recorder(path: Path, codec: Codec | None = None, **changes: Any) -> Recorder:
    given: dict[str, Any] = {
        "class_count": CLASSES,
        "teacher": "mine",
        "shard_frames": 64,
        "chunk_frames": 16,
    } | changes
    return softstore.create(path, codec=codec or Float32(), **given)


@pytest.mark.parametrize("codec", [Float32(), Float16(), TopK(k=8)])
def test_what_is_added_is_read_again_within_its_certificate(tmp_path: Path, codec: Codec) -> None:
    with recorder(tmp_path / "store", codec, frame_shift=0.02, description={"layers": 4}) as writing:
        for name in LENGTHS:
            writing.add(
                name,
                logits(name).numpy(),
                features=logits(name)[:, :5].half(),
                labels=logits(name).argmax(dim=-1),
                speaker="anna",
                split="cv",
                text="ja",
                snr_db=3.5,
                clean=False,
            )
    store = softstore.open(tmp_path / "store")
    assert store.utterances(speaker="anna", split="cv", snr_db=3.5, clean=False).ids == list(LENGTHS)
    assert store.attributes.frame_shift == 0.02
    assert store.attributes.teacher is not None
    assert store.attributes.teacher.description == {"layers": 4}
    assert store.attributes.complete is not None
    for utterance in store.scan():
        truth = logits(utterance.utterance_id)
        np.testing.assert_array_equal(utterance.features(), truth[:, :5].half().float())
        np.testing.assert_array_equal(utterance.labels(), truth.argmax(dim=-1))
        for temperature in (1.0, 2.0, 4.0, 8.0):
            found = torch.from_numpy(utterance.log_posteriors(temperature))
            divergence = kl_divergence(log_soften(truth, temperature), found)
            assert divergence.max() == pytest.approx(utterance.row[f"max_kl_t{temperature:g}"], abs=1e-6)
    frames = sum(LENGTHS.values())
    assert sum(store.manifest.kl_histogram(2.0)) == store.certificate().frames == frames


def test_a_shard_holds_what_fits(tmp_path: Path) -> None:
    with recorder(tmp_path / "store") as writing:
        for name, frames in (("a", 30), ("b", 34), ("c", 1), ("d", 64), ("e", 63), ("f", 2)):
            writing.add(name, logits(name, frames))
    rows = softstore.open(tmp_path / "store").manifest.table.select(["shard", "first_frame"]).to_pylist()
    assert [row["shard"] for row in rows] == [0, 0, 1, 2, 3, 4]
    assert [row["first_frame"] for row in rows] == [0, 30, 64, 128, 192, 256]


def test_shards_are_there_while_the_loop_goes_on(tmp_path: Path) -> None:
    with recorder(tmp_path / "store") as writing:
        assert not (tmp_path / "store" / "zarr.json").exists()
        for name in ("u0", "u1", "u2", "u3"):
            writing.add(name, logits(name))
            assert name in writing
        assert softstore.open(tmp_path / "store").utterances().ids == ["u0", "u1", "u2"]
    assert len(softstore.open(tmp_path / "store")) == 4


def test_an_exception_keeps_finished_shards_and_the_next_run_completes_the_store(tmp_path: Path) -> None:
    def loop(writing: Recorder) -> None:
        with writing:
            for number, name in enumerate(LENGTHS):
                writing.add(name, logits(name))
                number / (4 - number)

    writing = recorder(tmp_path / "store")
    with pytest.raises(ZeroDivisionError):
        loop(writing)
    partial = softstore.open(tmp_path / "store")
    assert partial.utterances().ids == ["u0", "u1", "u2"]
    assert partial.attributes.complete is None
    with pytest.raises(InvalidInputError, match="closed"):
        writing.add("late", logits("late", 3))
    with recorder(tmp_path / "store") as writing:
        for name in LENGTHS:
            if name not in writing:
                writing.add(name, logits(name))
    whole = softstore.open(tmp_path / "store")
    assert sorted(whole.utterances().ids) == sorted(LENGTHS)
    assert whole.attributes.complete is not None
    for utterance in whole.scan():
        wanted = torch.softmax(logits(utterance.utterance_id), -1)
        np.testing.assert_allclose(utterance.posteriors(), wanted, atol=1e-6)


def test_a_store_is_gone_on_with_by_the_same_teacher_only(tmp_path: Path) -> None:
    with recorder(tmp_path / "store") as writing:
        writing.add("a", logits("a", 5), snr_db=1)
    for changes, named in (
        ({"teacher": "mine-2"}, "another teacher"),
        ({"class_count": CLASSES + 1}, "another class_count"),
        ({"codec": Float16()}, "another codec"),
        ({"features": {"kind": "mfcc"}}, "another features"),
        ({"frame_shift": 0.02}, "another frame_shift"),
    ):
        with pytest.raises(ConflictError, match=named):
            recorder(tmp_path / "store", **changes)
    with recorder(tmp_path / "store") as writing:
        assert "a" in writing
        with pytest.raises(ConflictError, match=r"'a' is in .* already"):
            writing.add("a", logits("a", 5))
        with pytest.raises(
            InvalidInputError, match="'snr_db' of utterance 'b' is to hold numbers, not 'low'"
        ):
            writing.add("b", logits("b", 5), snr_db="low")
        writing.add("b", logits("b", 5), snr_db=2.5, noise="babble")
    store = softstore.open(tmp_path / "store")
    assert store.manifest.by_utterance("snr_db") == {"a": 1.0, "b": 2.5}
    assert store.manifest.by_utterance("noise") == {"a": None, "b": "babble"}


def test_nothing_added_is_nothing_written(tmp_path: Path) -> None:
    with recorder(tmp_path / "store"):
        pass
    assert not (tmp_path / "store" / "zarr.json").exists()
    with recorder(tmp_path / "store") as writing:
        writing.add("a", logits("a", 5))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    with recorder(tmp_path / "store"):
        pass
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")} == before


def test_two_recorders_at_once_lose_nothing_silently(tmp_path: Path) -> None:
    first, second = recorder(tmp_path / "store"), recorder(tmp_path / "store")
    first.add("a", logits("a", 5))
    second.add("b", logits("b", 5))
    first.close()
    with pytest.raises(ConflictError, match="Somebody else published shard 0"):
        second.close()
    assert softstore.open(tmp_path / "store").utterances().ids == ["a"]


def test_places_that_hold_something_else_are_left_alone(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", {"a": 5})
    with pytest.raises(NotAStoreError, match="is a corpus"):
        recorder(tmp_path / "corpus")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    with pytest.raises(ConflictError, match="not empty"):
        recorder(tmp_path / "home")


def test_classes_that_are_ruled_out_have_no_mass_at_any_usual_temperature(tmp_path: Path) -> None:
    masked = logits("a", 5)
    masked[:, ::2] = -torch.inf
    with recorder(tmp_path / "store") as writing:
        writing.add("a", masked)
    utterance = softstore.open(tmp_path / "store")["a"]
    assert utterance.log_posteriors().min() == LOWEST_LOG_POSTERIOR
    assert utterance.row["max_kl_t8"] < 1e-6
    for temperature in (1.0, 8.0, 50.0):
        np.testing.assert_array_equal(utterance.posteriors(temperature)[:, ::2], 0)
        np.testing.assert_allclose(
            utterance.posteriors(temperature), torch.softmax(masked / temperature, -1), atol=1e-6
        )


@pytest.mark.parametrize("step", range(1, 16, 2))
def test_a_write_that_fails_closes_the_recorder_and_costs_nothing(tmp_path: Path, step: int) -> None:
    """The codec is fitted in the middle: a new recorder takes what is missing, with one codec for all."""
    given = {name: 3 * torch.randn(9000, 30) for name in ("a", "b", "c")}

    def begin() -> Recorder:
        return softstore.create(tmp_path / "store", class_count=30, teacher="t", shard_frames=16_384)

    failing = begin()
    failing._storage, _ = watched(failing._storage, dies_at=step)

    def add_all() -> None:
        with failing:
            for name, values in given.items():
                failing.add(name, values)

    with pytest.raises(KilledError):
        add_all()
    with pytest.raises(InvalidInputError, match="closed"):
        failing.add("d", given["a"])
    with begin() as again:
        for name, values in given.items():
            if name not in again:
                again.add(name, values)
    store = softstore.open(tmp_path / "store")
    for name, values in given.items():
        found = torch.from_numpy(store[name].log_posteriors())
        assert float(kl_divergence(torch.log_softmax(values, dim=-1), found).mean()) < 0.02
