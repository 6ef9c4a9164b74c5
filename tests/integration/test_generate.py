"""The teacher inference job: what is stored, what a second run does, what is refused."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.codecs import Float16, TopK
from softstore.errors import ConflictError, InvalidInputError
from softstore.format import Complete
from softstore.generate import generate
from softstore.softening import kl_divergence
from softstore.storage import open_storage
from softstore.writer import Writer, update_attributes
from tests.samples import LENGTHS, LinearTeacher, make_corpus, make_store


def run(corpus: Corpus, path: Path, teacher: LinearTeacher | None = None, k: int = 16) -> int:
    storage = open_storage(path, writable=True)
    return generate(
        corpus, teacher or LinearTeacher(), storage, TopK(k=k), shard_frames=512, chunk_frames=64
    ).utterances


@pytest.mark.parametrize("codec", [TopK(k=16), Float16()])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0, 8.0])
def test_stored_posteriors_agree_with_the_teacher_within_the_certificate(
    tmp_path: Path, corpus: Corpus, codec: TopK | Float16, temperature: float
) -> None:
    store = make_store(tmp_path / "store", corpus, codec)
    for utterance in store.scan():
        features = torch.from_numpy(corpus[utterance.utterance_id].features())
        truth = torch.log_softmax(LinearTeacher().log_posteriors(features) / temperature, dim=-1)
        found = utterance.log_posteriors(temperature)
        divergence = kl_divergence(truth, torch.from_numpy(found))
        assert divergence.max() == pytest.approx(utterance.row[f"max_kl_t{temperature:g}"], abs=1e-6)
        assert divergence.mean() == pytest.approx(utterance.row[f"mean_kl_t{temperature:g}"], abs=1e-6)
        np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)


def test_the_store_certificate_sums_up_its_utterances(store: Store) -> None:
    table = store.manifest.table
    frames = table["num_frames"].to_numpy()
    for row in store.certificate().kl:
        maxima = table[f"max_kl_t{row.temperature:g}"].to_numpy()
        means = table[f"mean_kl_t{row.temperature:g}"].to_numpy()
        assert row.max == maxima.max()
        assert row.mean == pytest.approx((means * frames).sum() / frames.sum())
        assert row.mean <= row.p999 <= row.max


def test_features_labels_and_columns_travel_with_the_targets(store: Store, corpus: Corpus) -> None:
    assert len(store) == len(corpus) == len(LENGTHS)
    for utterance in store.scan():
        source = corpus[utterance.utterance_id]
        np.testing.assert_array_equal(utterance.features(), source.features())
        np.testing.assert_array_equal(utterance.labels(), source.labels())
        assert utterance.row["snr_db"] == source.row["snr_db"]
        assert (utterance.text, utterance.speaker, utterance.split) == (
            source.text,
            source.speaker,
            source.split,
        )


def test_a_second_run_computes_nothing(tmp_path: Path, corpus: Corpus) -> None:
    assert run(corpus, tmp_path / "store") == len(LENGTHS)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert run(corpus, tmp_path / "store") == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert before == after


def test_new_utterances_are_added_and_old_ones_left_alone(tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "first", LENGTHS)
    more = make_corpus(tmp_path / "more", LENGTHS | {"new": 77, "newer": 400})
    run(first, tmp_path / "store")
    assert run(more, tmp_path / "store") == 2
    whole = open_store(tmp_path / "store")
    assert len(whole) == len(LENGTHS) + 2
    at_once = make_store(tmp_path / "at-once", more)
    for utterance in whole.scan():
        np.testing.assert_array_equal(
            utterance.posteriors(2.0), at_once[utterance.utterance_id].posteriors(2.0)
        )


@pytest.mark.parametrize(
    ("teacher", "k", "named"),
    [(LinearTeacher(seed=1), 16, "another teacher"), (LinearTeacher(), 8, "another codec .*'k': 16.*'k': 8")],
)
def test_what_does_not_belong_into_a_store_is_named(
    tmp_path: Path, corpus: Corpus, teacher: LinearTeacher, k: int, named: str
) -> None:
    run(corpus, tmp_path / "store")
    with pytest.raises(ConflictError, match=named):
        run(corpus, tmp_path / "store", teacher, k)


def test_the_same_utterance_with_other_features_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    run(corpus, tmp_path / "store")
    other = make_corpus(tmp_path / "other", LENGTHS, seed=1)
    with pytest.raises(ConflictError, match=r"'a' has other features"):
        run(other, tmp_path / "store")


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(ConflictError, match=r"has 64 classes.* has 120 senones"):
        run(corpus, tmp_path / "store", LinearTeacher(class_count=64))


def test_a_run_that_is_resumed_with_fewer_utterances_ends_whole(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(InvalidInputError):
        run(corpus, tmp_path / "store", BrokenTeacher())
    without = make_corpus(tmp_path / "less", {"a": 100, "b": 300, "c": 200})
    run(without, tmp_path / "store")
    assert set(without.manifest.table["utterance_id"].to_pylist()) <= set(
        open_store(tmp_path / "store").manifest.table["utterance_id"].to_pylist()
    )


def test_an_append_killed_before_its_last_word_is_completed_by_the_next_run(tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "first", LENGTHS)
    more = make_corpus(tmp_path / "more", LENGTHS | {"new": 77, "newer": 400})
    run(first, tmp_path / "store")
    root = tmp_path / "store" / "zarr.json"
    run(more, tmp_path / "store")
    last_word = root.read_bytes()
    before = {"shards": 3, "utterances": len(LENGTHS), "frames": sum(LENGTHS.values())}
    update_attributes(open_storage(tmp_path / "store"), {"complete": Complete(**before)})
    assert root.read_bytes() != last_word
    assert run(more, tmp_path / "store") == 0
    assert root.read_bytes() == last_word


def test_a_published_shard_is_never_touched_again(own_store: Store) -> None:
    writer = Writer(own_store.frames.storage, own_store.attributes)
    before = (Path(own_store.url) / "features/c/0/0").read_bytes()
    assert not writer.write_shard(0, [], {})
    assert (Path(own_store.url) / "features/c/0/0").read_bytes() == before


def test_a_writer_that_knows_less_never_takes_room_away(own_store: Store) -> None:
    stale = Writer(own_store.frames.storage, own_store.attributes.model_copy(update={"shards": 1}))
    stale.allocate(2)
    again = open_store(own_store.url)
    assert again.attributes.shards == own_store.attributes.shards
    assert len(again) == len(LENGTHS)
    assert len(again["g"].posteriors()) == LENGTHS["g"]


def test_an_unfinished_corpus_is_refused(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", LENGTHS)
    update_attributes(corpus.frames.storage, {"complete": None})
    with pytest.raises(ConflictError, match="is unfinished"):
        run(Corpus.open(corpus.url), tmp_path / "store")


@dataclass
class BrokenTeacher(LinearTeacher):
    """Says something else for the shortest utterance."""

    factor: float = math.nan

    def log_posteriors(self, features: Tensor) -> Tensor:
        found = super().log_posteriors(features)
        return found if len(found) > 1 else found.double() * self.factor


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e300])
def test_an_output_that_is_not_finite_names_the_utterance_and_keeps_what_was_finished(
    tmp_path: Path, corpus: Corpus, factor: float
) -> None:
    with pytest.raises(InvalidInputError, match="'ü nicode' is not finite"):
        run(corpus, tmp_path / "store", BrokenTeacher(factor=factor))
    assert 0 < len(open_store(tmp_path / "store")) < len(LENGTHS)


def test_a_place_that_holds_something_else_is_left_alone(tmp_path: Path, corpus: Corpus) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConflictError, match="not empty"):
        run(corpus, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


SLOW_RUN = """
import sys, time
from softstore import Corpus
from tests.integration.test_generate import run
from tests.samples import LinearTeacher

class SlowTeacher(LinearTeacher):
    def log_posteriors(self, features):
        time.sleep(0.1)
        return super().log_posteriors(features)

run(Corpus.open(sys.argv[1]), sys.argv[2], SlowTeacher())
"""


def test_killed_in_the_middle_and_run_again_it_decodes_as_if_never_interrupted(tmp_path: Path) -> None:
    lengths = {f"u{number}": 100 + number for number in range(40)}
    corpus = make_corpus(tmp_path / "corpus", lengths)
    whole = make_store(tmp_path / "whole", corpus)
    target = tmp_path / "store"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SLOW_RUN, corpus.url, str(target)]
    with subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}) as job:
        while len(list(target.glob("manifest/*.parquet"))) < 3 and job.poll() is None:
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
    partial = open_store(target)
    assert 0 < len(partial) < len(lengths)
    assert partial.attributes.complete is None
    written = run(corpus, target)
    resumed = open_store(target)
    assert written == len(lengths) - len(partial)
    assert len(resumed) == len(lengths)
    for utterance in whole.scan():
        found = resumed[utterance.utterance_id]
        np.testing.assert_array_equal(found.log_posteriors(), utterance.log_posteriors())
        np.testing.assert_array_equal(found.features(), utterance.features())
